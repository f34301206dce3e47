package webhook

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/carasso/carasso/mapdata/hazard"
)

// Types of events. A webhook is told of each hazard: started, then updated any number of times, then ended.
const (
	Started = "org.carasso.hazard.started"
	Updated = "org.carasso.hazard.updated"
	Ended   = "org.carasso.hazard.ended"
	Test    = "org.carasso.webhook.test"
)

// ContentType is that of an event in structured mode (CloudEvents JSON format 1.0.2, 3).
const ContentType = "application/cloudevents+json"

// Event is a CloudEvent (1.0.2) in the making. Its encoding is what is signed and sent, the same in each attempt.
type Event struct {
	ID     string // unique: of the webhook, the hazard and its revision
	Type   string
	Hazard uint64 // 0: none
	Seq    int64  // the hazard's revision
	Body   []byte
}

// cloudEvent is the document. Sequence is CloudEvents' extension of that name: rising for each hazard, and of equal length.
type cloudEvent struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject"`
	Time            time.Time `json:"time"`
	Sequence        string    `json:"sequence,omitempty"`
	DataContentType string    `json:"datacontenttype"`
	Data            any       `json:"data"`
}

// Decide tells which event a webhook is due for a hazard's revision; none if that is "". told is the last revision that
// it was told of, 0 if it is not told of the hazard. Whoever was told of a hazard is told to its end, although it leaves the
// filter; who wasn't is never told of its end. A revision is told once.
func Decide(f *Filter, told int64, r *hazard.Revision) (kind string) {
	switch {
	case told != 0 && r.Seq <= told:
		return ""
	case told != 0 && !r.Active():
		return Ended
	case told != 0:
		return Updated
	case r.Active() && f.Matches(&r.Hazard):
		return Started
	}
	return ""
}

// NewEvent makes the event of a hazard's revision.
func NewEvent(source, webhook, kind string, r *hazard.Revision) (Event, error) {
	e := Event{ID: fmt.Sprintf("%s-%d-%d", webhook, r.ID, r.Seq), Type: kind, Hazard: r.ID, Seq: r.Seq}
	var err error
	e.Body, err = json.Marshal(cloudEvent{
		SpecVersion: "1.0", ID: e.ID, Source: source, Type: kind, Subject: "hazard/" + strconv.FormatUint(r.ID, 10), Time: r.ChangedAt.UTC(),
		Sequence: fmt.Sprintf("%020d", r.Seq), DataContentType: "application/geo+json", Data: r.Feature(),
	})
	return e, err
}

// NewTest makes an event by which people see whether a webhook works.
func NewTest(source, webhook, name string, now time.Time) (Event, error) {
	e := Event{ID: webhook + "-test-" + name, Type: Test}
	var err error
	e.Body, err = json.Marshal(cloudEvent{
		SpecVersion: "1.0", ID: e.ID, Source: source, Type: Test, Subject: "webhook/" + webhook, Time: now.UTC(),
		DataContentType: "application/json", Data: map[string]string{"message": "This is a test; nothing has happened on the road."},
	})
	return e, err
}
