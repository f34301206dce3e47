package datex_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// What follows is the part of the schema (3.5) that situations of vehicles can use: the sequences of its complex types, with how
// often each element may come and of what type it is, and the values of its simple types. It was written from the
// published data dictionary and schema, independent of the encoder: elements that the encoder doesn't write are here
// too, so that an order that is wrong shows.

// sequences are a type's elements in order, after those of the type that it extends: name, how often ("" once, ? at most
// once, * any, + at least once), type.
func sequences() map[string]string {
	return map[string]string{
		"com:PayloadPublication": `com:feedDescription? com:MultilingualString, com:feedType? com:String, com:publicationTime com:DateTime,
			com:publicationCreator com:InternationalIdentifier`,
		"sit:SituationPublication < com:PayloadPublication": `sit:situation* sit:Situation`,
		"com:InternationalIdentifier":                       `com:country com:CountryCode, com:nationalIdentifier com:String`,
		"sit:Situation": `sit:overallSeverity? sit:SeverityEnum, sit:situationVersionTime? com:DateTime,
			sit:headerInformation com:HeaderInformation, sit:situationRecord+ sit:SituationRecord, sit:informationManager? com:InternationalIdentifier`,
		"com:HeaderInformation": `com:confidentiality? com:ConfidentialityValueEnum, com:allowedDeliveryChannel* com:InformationDeliveryServicesEnum,
			com:informationStatus com:InformationStatusEnum`,
		"sit:SituationRecord abstract": `sit:situationRecordCreationReference? com:String, sit:situationRecordCreationTime com:DateTime,
			sit:situationRecordObservationTime? com:DateTime, sit:situationRecordVersionTime com:DateTime,
			sit:situationRecordFirstSupplierVersionTime? com:DateTime, sit:confidentialityOverride? com:ConfidentialityValueEnum,
			sit:probabilityOfOccurrence sit:ProbabilityOfOccurrenceEnum, sit:severity? sit:SeverityEnum, sit:safetyRelatedMessage? com:Boolean,
			sit:source? com:Source, sit:validity com:Validity, sit:locationReference loc:LocationReference,
			sit:informationManagerOverride? com:InternationalIdentifier`,
		"sit:TrafficElement abstract < sit:SituationRecord":            `sit:trafficConstrictionType? sit:TrafficConstrictionTypeEnum`,
		"sit:Conditions abstract < sit:TrafficElement":                 `sit:drivingConditionType? sit:DrivingConditionTypeEnum`,
		"sit:RoadSurfaceConditions abstract < sit:Conditions":          ``,
		"sit:WeatherRelatedRoadConditions < sit:RoadSurfaceConditions": `sit:weatherRelatedRoadConditionType+ com:WeatherRelatedRoadConditionTypeEnum`,
		"sit:PoorEnvironmentConditions < sit:Conditions":               `sit:poorEnvironmentType+ sit:PoorEnvironmentTypeEnum`,
		"sit:Obstruction abstract < sit:TrafficElement":                `sit:numberOfObstructions? com:NonNegativeInteger, sit:mobilityOfObstruction? sit:Mobility`,
		"sit:Mobility": `sit:mobilityType sit:MobilityTypeEnum`,
		"sit:GeneralObstruction < sit:Obstruction":          `sit:obstructionType+ sit:ObstructionTypeEnum`,
		"sit:VehicleObstruction < sit:Obstruction":          `sit:vehicleObstructionType sit:VehicleObstructionTypeEnum`,
		"sit:Accident < sit:TrafficElement":                 `sit:accidentType+ sit:AccidentTypeEnum, sit:totalNumberOfVehiclesInvolved? com:NonNegativeInteger`,
		"sit:OperatorAction abstract < sit:SituationRecord": `sit:actionPlanIdentifier? com:String`,
		"sit:Roadworks abstract < sit:OperatorAction":       `sit:roadworksIdentifier? com:String, sit:underTraffic? com:Boolean, sit:urgentRoadworks? com:Boolean`,
		"sit:MaintenanceWorks < sit:Roadworks":              `sit:roadMaintenanceType+ sit:RoadMaintenanceTypeEnum`,
		"com:Source": `com:sourceCountry? com:CountryCode, com:sourceIdentification? com:String, com:sourceName? com:MultilingualString,
			com:sourceType? com:SourceTypeEnum, com:reliable? com:Boolean`,
		"com:MultilingualString":                        `com:values com:MultilingualStringValues`,
		"com:MultilingualStringValues":                  `com:value+ com:String`,
		"com:Validity":                                  `com:validityStatus com:ValidityStatusEnum, com:overrunning? com:Boolean, com:validityTimeSpecification com:OverallPeriod`,
		"com:OverallPeriod":                             `com:overallStartTime com:DateTime, com:overallEndTime? com:DateTime`,
		"loc:LocationReference abstract":                ``,
		"loc:Location abstract < loc:LocationReference": `loc:externalReferencing* loc:ExternalReferencing, loc:coordinatesForDisplay? loc:PointCoordinates`,
		"loc:ExternalReferencing":                       `loc:externalLocationCode com:String, loc:externalReferencingSystem com:String`,
		"loc:NetworkLocation abstract < loc:Location":   `loc:supplementaryPositionalDescription? loc:SupplementaryPositionalDescription`,
		"loc:PointLocation < loc:NetworkLocation":       `loc:pointByCoordinates? loc:PointByCoordinates`,
		"loc:LinearLocation < loc:NetworkLocation":      `loc:gmlLineString? loc:GmlLineString`,
		"loc:SupplementaryPositionalDescription": `loc:lengthAffected? com:Float, loc:locationDescription? com:MultilingualString,
			loc:roadInformation* loc:RoadInformation`,
		"loc:RoadInformation":    `loc:roadDestination? com:String, loc:roadName? com:String, loc:roadNumber? com:String`,
		"loc:PointByCoordinates": `loc:bearing? com:AngleInDegrees, loc:pointCoordinates loc:PointCoordinates`,
		"loc:PointCoordinates":   `loc:latitude com:Float, loc:longitude com:Float`,
		"loc:GmlLineString":      `loc:posList loc:GmlPosList`,
	}
}

// attributes of types: name, ? for optional, type.
func attributes() map[string]string {
	return map[string]string{
		"com:PayloadPublication": `lang com:Language, modelBaseVersion com:ModelBaseVersion, profileName? com:String, profileVersion? com:String`,
		"sit:Situation":          `id com:String`,
		"sit:SituationRecord":    `id com:String, version com:String`,
		"loc:GmlLineString":      `srsDimension? com:NonNegativeInteger, srsName? com:String`,
	}
}

// values are regular expressions for simple types; lists of words are enumerations, as far as vehicles can tell them apart.
func values() map[string]string {
	enum := func(words string) string { return "(" + strings.ReplaceAll(words, " ", "|") + ")" }
	return map[string]string{
		"com:String": `(?s:.*)`, "com:DateTime": `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`, "com:Boolean": `(true|false)`,
		"com:CountryCode": `.{0,2}`, "com:Language": `[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*`, "com:ModelBaseVersion": `3`, "com:NonNegativeInteger": `\d+`,
		"com:Float": `[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?`, "com:AngleInDegrees": `([0-9]|[1-9][0-9]|[12][0-9][0-9]|3[0-5][0-9])`,
		"loc:GmlPosList":                          `[-+]?[0-9]*\.?[0-9]+(\s[-+]?[0-9]*\.?[0-9]+){3,}`,
		"com:ConfidentialityValueEnum":            enum("internalUse noRestriction restrictedToAuthorities restrictedToAuthoritiesAndTrafficOperators"),
		"com:InformationDeliveryServicesEnum":     enum("anyGeneralDeliveryService safetyServices vms"),
		"com:InformationStatusEnum":               enum("real securityExercise technicalExercise test"),
		"com:SourceTypeEnum":                      enum("otherInformation registeredMotoristObserver roadAuthorities trafficMonitoringStation vehicleProbeMeasurement"),
		"com:ValidityStatusEnum":                  enum("active planned suspended definedByValidityTimeSpec"),
		"com:WeatherRelatedRoadConditionTypeEnum": enum("blackIce ice icyPatches slippery snowDrifts surfaceWater wetAndIcyRoad"),
		"sit:SeverityEnum":                        enum("highest high medium low lowest none unknown"),
		"sit:ProbabilityOfOccurrenceEnum":         enum("certain probable riskOf"),
		"sit:TrafficConstrictionTypeEnum":         enum("carriagewayBlocked carriagewayPartiallyObstructed lanesBlocked lanesPartiallyObstructed roadBlocked roadPartiallyObstructed"),
		"sit:DrivingConditionTypeEnum":            enum("impossible hazardous normal passableWithCare unknown veryHazardous winterConditions other"),
		"sit:PoorEnvironmentTypeEnum":             enum("badWeather blowingSnow denseFog fog heavyRain heavySnowfall patchyFog smokeHazard visibilityReduced"),
		"sit:MobilityTypeEnum":                    enum("mobile stationary unknown"),
		"sit:ObstructionTypeEnum":                 enum("debris hazardsOnTheRoad objectOnTheRoad obstructionOnTheRoad peopleOnRoadway shedLoad unprotectedAccidentArea"),
		"sit:VehicleObstructionTypeEnum":          enum("abandonedVehicle brokenDownVehicle damagedVehicle slowVehicle vehicleOnFire vehicleOnWrongCarriageway vehicleStuck other"),
		"sit:AccidentTypeEnum":                    enum("accident accidentInvolvingHeavyLorries accidentInvolvingPublicTransport collision multipleVehicleAccident other"),
		"sit:RoadMaintenanceTypeEnum":             enum("maintenanceWork repairWork resurfacingWork roadMarkingWork roadworks roadworksClearance other"),
	}
}

// namespaces by prefix; another document may use other prefixes.
func namespaces() map[string]string {
	const base = "http://datex2.eu/schema/3/"
	return map[string]string{base + "d2Payload": "d2", base + "common": "com", base + "situation": "sit", base + "locationReferencing": "loc"}
}

type child struct{ name, times, kind string }

type complexType struct {
	base     string
	abstract bool
	children []child
	attrs    map[string]child
}

type schema struct {
	types  map[string]complexType
	simple map[string]*regexp.Regexp
}

func newSchema() schema {
	s := schema{types: map[string]complexType{}, simple: map[string]*regexp.Regexp{}}
	parse := func(list string) (out []child) {
		for part := range strings.SplitSeq(list, ",") {
			if words := strings.Fields(part); len(words) == 2 {
				name := strings.TrimRight(words[0], "?*+")
				out = append(out, child{name, words[0][len(name):], words[1]})
			}
		}
		return out
	}
	for head, list := range sequences() {
		name, base, _ := strings.Cut(head, " < ")
		name, abstract := strings.CutSuffix(name, " abstract")
		t := complexType{base: base, abstract: abstract, children: parse(list), attrs: map[string]child{}}
		for _, a := range parse(attributes()[name]) {
			t.attrs[a.name] = a
		}
		s.types[name] = t
	}
	for name, re := range values() {
		s.simple[name] = regexp.MustCompile(`^(?:` + re + `)$`)
	}
	return s
}

func (s schema) extends(kind, base string) bool {
	for ; kind != ""; kind = s.types[kind].base {
		if kind == base {
			return true
		}
	}
	return false
}

// sequence is a type's with its bases' before it.
func (s schema) sequence(kind string) (children []child, attrs map[string]child) {
	attrs = map[string]child{}
	for ; kind != ""; kind = s.types[kind].base {
		children = slices.Concat(s.types[kind].children, children)
		maps.Copy(attrs, s.types[kind].attrs)
	}
	return children, attrs
}

type node struct {
	name     string
	attrs    map[string]string
	kind     string // xsi:type
	text     string
	children []*node
}

// parseXML reads a document into nodes whose names have this file's prefixes.
func parseXML(doc []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(doc))
	var stack []*node
	var root *node
	declared := map[string]string{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			n := &node{name: namespaces()[t.Name.Space] + ":" + t.Name.Local, attrs: map[string]string{}}
			for _, a := range t.Attr {
				switch {
				case a.Name.Space == "xmlns":
					declared[a.Name.Local] = a.Value
				case a.Name.Space == "http://www.w3.org/2001/XMLSchema-instance" && a.Name.Local == "type":
					n.kind = a.Value
				case a.Name.Space == "" && a.Name.Local != "xmlns":
					n.attrs[a.Name.Local] = a.Value
				}
			}
			if prefix, local, ok := strings.Cut(n.kind, ":"); ok {
				n.kind = namespaces()[declared[prefix]] + ":" + local
			}
			if len(stack) == 0 {
				root = n
			} else {
				top := stack[len(stack)-1]
				top.children = append(top.children, n)
			}
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].text += string(t)
			}
		}
	}
}

// check lists what is wrong with a document.
func (s schema) check(doc []byte) (wrong []string) {
	root, err := parseXML(doc)
	switch {
	case err != nil:
		return []string{err.Error()}
	case root == nil || root.name != "d2:payload":
		return []string{"the root is no d2:payload"}
	}
	s.node(root, "com:PayloadPublication", "payload", &wrong)
	seen := map[string]bool{}
	for _, sit := range root.children {
		if id := sit.attrs["id"]; sit.name == "sit:situation" {
			if seen[id] {
				wrong = append(wrong, "situation "+id+" comes twice")
			}
			seen[id] = true
		}
	}
	return wrong
}

func (s schema) node(n *node, kind, path string, wrong *[]string) {
	complain := func(format string, args ...any) { *wrong = append(*wrong, path+": "+fmt.Sprintf(format, args...)) }
	if re, ok := s.simple[kind]; ok {
		if !re.MatchString(n.text) || len(n.children) > 0 {
			complain("%q is no %s", n.text, kind)
		}
		if utf8.RuneCountInString(n.text) > 1024 && kind == "com:String" {
			complain("%d characters", utf8.RuneCountInString(n.text))
		}
		if kind == "com:DateTime" {
			if _, err := time.Parse(time.RFC3339, n.text); err != nil {
				complain("%v", err)
			}
		}
		return
	}
	if n.kind != "" {
		if !s.extends(n.kind, kind) {
			complain("%q does not extend %s", n.kind, kind)
			return
		}
		kind = n.kind
	}
	t, ok := s.types[kind]
	if !ok || t.abstract {
		complain("%q can't have a document", kind)
		return
	}
	if strings.TrimSpace(n.text) != "" {
		complain("text %q between elements", n.text)
	}
	sequence, attrs := s.sequence(kind)
	for name, v := range n.attrs {
		if a, ok := attrs[name]; !ok || !s.simple[a.kind].MatchString(v) {
			complain("attribute %s=%q", name, v)
		}
	}
	for name, a := range attrs {
		if _, ok := n.attrs[name]; !ok && a.times == "" {
			complain("no attribute %s", name)
		}
	}
	rest := n.children
	for _, c := range sequence {
		times := 0
		for len(rest) > 0 && rest[0].name == c.name {
			s.node(rest[0], c.kind, path+"/"+c.name+"["+strconv.Itoa(times)+"]", wrong)
			rest = rest[1:]
			times++
		}
		if times == 0 && (c.times == "" || c.times == "+") || times > 1 && (c.times == "" || c.times == "?") {
			complain("%s comes %d times", c.name, times)
		}
	}
	if len(rest) > 0 {
		complain("%s is not allowed here", rest[0].name)
	}
}
