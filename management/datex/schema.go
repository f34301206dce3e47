package datex

import "encoding/xml"

// The elements in the schema's order, which XML Schema's sequences make part of the format. Optional
// elements that are not told are left out.

type payload struct {
	XMLName          xml.Name    `xml:"d2:payload"`
	D2               string      `xml:"xmlns:d2,attr"`
	Com              string      `xml:"xmlns:com,attr"`
	Loc              string      `xml:"xmlns:loc,attr"`
	Sit              string      `xml:"xmlns:sit,attr"`
	XSI              string      `xml:"xmlns:xsi,attr"`
	Type             string      `xml:"xsi:type,attr"`
	Lang             string      `xml:"lang,attr"`
	ModelBaseVersion string      `xml:"modelBaseVersion,attr"`
	FeedType         string      `xml:"com:feedType"`
	Time             string      `xml:"com:publicationTime"`
	Creator          identifier  `xml:"com:publicationCreator"`
	Situations       []situation `xml:"sit:situation"`
}

type identifier struct {
	Country  string `xml:"com:country"`
	National string `xml:"com:nationalIdentifier"`
}

type situation struct {
	ID        string `xml:"id,attr"`
	Severity  string `xml:"sit:overallSeverity"`
	Versioned string `xml:"sit:situationVersionTime"`
	Header    header `xml:"sit:headerInformation"`
	Record    record `xml:"sit:situationRecord"`
}

type header struct {
	Confidentiality string `xml:"com:confidentiality"`
	Status          string `xml:"com:informationStatus"`
}

type record struct {
	Type       string   `xml:"xsi:type,attr"`
	ID         string   `xml:"id,attr"`
	Version    string   `xml:"version,attr"`
	Created    string   `xml:"sit:situationRecordCreationTime"`
	Observed   string   `xml:"sit:situationRecordObservationTime"`
	Versioned  string   `xml:"sit:situationRecordVersionTime"`
	Occurrence string   `xml:"sit:probabilityOfOccurrence"`
	Severity   string   `xml:"sit:severity"`
	Safety     bool     `xml:"sit:safetyRelatedMessage"`
	Source     source   `xml:"sit:source"`
	Validity   validity `xml:"sit:validity"`
	Location   location `xml:"sit:locationReference"`
	// What follows is of the record's class and those that it extends.
	Constriction string `xml:"sit:trafficConstrictionType,omitempty"`
	Meaning      meaningElement
}

type meaningElement struct {
	XMLName xml.Name
	Value   string `xml:",chardata"`
}

type source struct {
	Identification string `xml:"com:sourceIdentification"`
	Type           string `xml:"com:sourceType"`
	Reliable       bool   `xml:"com:reliable"`
}

type validity struct {
	Status string `xml:"com:validityStatus"`
	Start  string `xml:"com:validityTimeSpecification>com:overallStartTime"`
	End    string `xml:"com:validityTimeSpecification>com:overallEndTime,omitempty"`
}

type location struct {
	Type        string              `xml:"xsi:type,attr"`
	Display     *point              `xml:"loc:coordinatesForDisplay"`
	Description *description        `xml:"loc:supplementaryPositionalDescription"`
	Point       *pointByCoordinates `xml:"loc:pointByCoordinates"`
	Line        *lineString         `xml:"loc:gmlLineString"`
}

type description struct {
	Road roadInformation `xml:"loc:roadInformation"`
}

type roadInformation struct {
	Name   string `xml:"loc:roadName,omitempty"`
	Number string `xml:"loc:roadNumber,omitempty"`
}

type pointByCoordinates struct {
	Bearing     string `xml:"loc:bearing,omitempty"`
	Coordinates point  `xml:"loc:pointCoordinates"`
}

type point struct {
	Latitude  string `xml:"loc:latitude"`
	Longitude string `xml:"loc:longitude"`
}

type lineString struct {
	Dimension int    `xml:"srsDimension,attr"`
	System    string `xml:"srsName,attr"`
	Positions string `xml:"loc:posList"`
}
