package car

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxEvent bounds the data of one server-sent event, and one line of it.
const maxEvent = 64 << 10

var errLong = errors.New("an event of more than 64 KiB")

// event is one server-sent event.
type event struct {
	name string // "" stands for message
	data string
	id   string // "" if it has none
}

// events reads a stream of server-sent events (HTML standard, 9.2.6), UTF-8 assumed.
type events struct {
	r     *bufio.Reader
	begun bool
	cr    bool // the last line ended with a carriage return: a line feed belongs to it
}

func newEvents(r io.Reader) *events { return &events{r: bufio.NewReaderSize(r, 4096)} }

// next is the next event; one without data has an id only.
func (s *events) next() (event, error) {
	var (
		e    event
		data []string
		size int
	)
	for {
		line, err := s.line()
		if err != nil {
			return event{}, err
		}
		if line == "" {
			if data == nil {
				if e.name = ""; e.id == "" {
					continue
				}
				return e, nil
			}
			e.data = strings.Join(data, "\n")
			return e, nil
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			e.name = value
		case "data":
			if size += len(value) + 1; size > maxEvent {
				return event{}, errLong
			}
			data = append(data, value)
		case "id":
			if !strings.Contains(value, "\x00") {
				e.id = value
			}
		}
	}
}

// line reads up to a line's end: CR, LF or both.
func (s *events) line() (string, error) {
	var line []byte
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return "", fmt.Errorf("read events: %w", err)
		}
		if c == '\n' && s.cr {
			s.cr = false
			continue
		}
		s.cr = c == '\r'
		if c == '\n' || c == '\r' {
			break
		}
		if line = append(line, c); len(line) > maxEvent {
			return "", errLong
		}
	}
	text := string(line)
	if !s.begun {
		s.begun = true
		text = strings.TrimPrefix(text, "\ufeff")
	}
	return text, nil
}
