package management

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/carasso/carasso/internal/problem"
)

// streamEvery is the pace of the pipeline's event stream.
const streamEvery = time.Second

// streamWithin is how long a client may take to accept one document of the stream.
const streamWithin = 10 * time.Second

// streamPipeline sends the document of /v1/pipeline every second as server-sent events
// (HTML standard, 9.2) named "pipeline", until the client goes.
func (s *Server) streamPipeline(w http.ResponseWriter, r *http.Request) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		problem.Write(w, &problem.Problem{Kind: problem.Overloaded, RetryAfter: 10 * time.Second, Detail: "Too many streams are open; poll /v1/pipeline instead."})
		return
	}
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	tick := time.NewTicker(streamEvery)
	defer tick.Stop()
	for {
		doc, err := s.pipeline.get(r.Context())
		_ = rc.SetWriteDeadline(time.Now().Add(streamWithin)) // not every writer has one
		if err != nil {
			if r.Context().Err() != nil {
				return
			}
			s.deps.Logger.WarnContext(r.Context(), "pipeline stream", "error", err)
			_, err = w.Write([]byte(": the data is out of reach\n\n"))
		} else {
			err = writeEvent(w, doc)
		}
		if err != nil || rc.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-s.drained:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func writeEvent(w http.ResponseWriter, doc *pipelineDoc) error {
	body, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	msg := append([]byte("event: pipeline\ndata: "), body...)
	_, err = w.Write(append(msg, "\n\n"...))
	return err
}
