// Package datex writes hazards as a SituationPublication of DATEX II version 3 (EN 16157, schema 3.5), the form in which
// road authorities and national access points exchange traffic information. What vehicles notice is told as the
// recommended reference profiles for safety-related traffic information (SRTI, delegated regulation (EU) 886/2013) say.
//
// Nothing here reads or waits: the same situations always give the same bytes.
package datex

import (
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
)

// ContentType is the media type of a publication.
const ContentType = "application/xml"

// Publisher is who answers for a publication.
type Publisher struct {
	// Country is the ISO 3166-1 alpha-2 code, in lower case. Default "zz", which no country has.
	Country string
	// Identifier is the publisher's name among those of its country, as agreed with the national access point.
	// 1 to 64 letters, digits, and _-. Default "CARASSO". It begins the ids of situations: a change makes all of them new.
	Identifier string
	// Test marks everything as not real. Default false.
	Test bool
}

// DefaultPublisher is the documented defaults.
func DefaultPublisher() Publisher { return Publisher{Country: "zz", Identifier: "CARASSO"} }

// Validate names the first field that is out of its range.
func (p Publisher) Validate() error {
	if !regexp.MustCompile(`^[a-z]{2}$`).MatchString(p.Country) {
		return fmt.Errorf("country %q: expected two lower-case letters (ISO 3166-1)", p.Country)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`).MatchString(p.Identifier) {
		return fmt.Errorf("identifier %q: expected 1 to 64 letters, digits, and _-", p.Identifier)
	}
	return nil
}

// Situation is a hazard and the road that it is on.
type Situation struct {
	hazard.Revision
	RoadName   string // "" if unknown
	RoadNumber string // "" if unknown
	// Line is the stretch of road that the hazard covers, in the direction of travel; fewer than 2 points: it is told as a point.
	Line []geo.Point
	// BearingDeg is the direction of travel at a point, degrees clockwise from north; negative if unknown.
	BearingDeg float64
}

// Publication is all that a publisher tells of an area at one time.
type Publication struct {
	Publisher  Publisher
	At         time.Time
	Situations []Situation // in order of id, each once
}

var errUnsorted = errors.New("situations are not in order of id")

// Marshal is the publication as an XML document in UTF-8.
func Marshal(p *Publication) ([]byte, error) {
	out := payload{
		D2: "http://datex2.eu/schema/3/d2Payload", Com: "http://datex2.eu/schema/3/common", Loc: "http://datex2.eu/schema/3/locationReferencing",
		Sit: "http://datex2.eu/schema/3/situation", XSI: "http://www.w3.org/2001/XMLSchema-instance",
		Type: "sit:SituationPublication", Lang: "en", ModelBaseVersion: "3",
		FeedType: "SRTI", Time: timestamp(p.At),
		Creator: identifier{Country: p.Publisher.Country, National: p.Publisher.Identifier},
	}
	for i := range p.Situations {
		if i > 0 && p.Situations[i].ID <= p.Situations[i-1].ID {
			return nil, fmt.Errorf("datex: %w", errUnsorted)
		}
		s, err := newSituation(&p.Publisher, &p.Situations[i])
		if err != nil {
			return nil, fmt.Errorf("datex: %w", err)
		}
		out.Situations = append(out.Situations, s)
	}
	body, err := xml.MarshalIndent(&out, "", " ")
	if err != nil {
		return nil, fmt.Errorf("datex: %w", err)
	}
	return append(append([]byte(xml.Header), body...), '\n'), nil
}

// timestamp is an xs:dateTime in UTC, in milliseconds.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
