package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"
)

// Kind is a sort of work that can be started by name. Make one with Define.
type Kind struct {
	Spec
	// Schema describes the arguments (JSON Schema 2020-12).
	Schema json.RawMessage

	run func(ctx context.Context, args json.RawMessage, p Progress) (any, error)
	arg func(args json.RawMessage) (json.RawMessage, error)
}

// Spec is what a kind is, apart from the work.
type Spec struct {
	// Name is for programs: lower case, digits, hyphens.
	Name string
	// Description is for people: what the work is good for, in a sentence.
	Description string
	// Schedule starts it by itself, without arguments. Zero: only on demand.
	Schedule Schedule
	// Timeout bounds an attempt. Default 1 h, at most 24 h.
	Timeout time.Duration
	// MaxAttempts bounds the tries, those that ended with the process too. Default 5.
	MaxAttempts int
	// Many lets jobs of the kind that differ in their arguments wait and run side by side. By default a
	// kind has one job that is not finished.
	Many bool
}

// Progress tells those who watch how far a job is; it costs nothing to call often. Not for concurrent
// use.
type Progress interface {
	// Set replaces what is shown. total is 0 while it is unknown.
	Set(done, total int64, message string)
}

// Args are a kind's arguments: a struct whose exported fields have a json name and a tag doc. Its zero
// value must be valid if the kind has a schedule.
type Args interface {
	// Validate names the first field that is out of its range, as an *ArgsError.
	Validate() error
}

// None are the arguments of kinds without.
type None struct{}

// Validate accepts it.
func (None) Validate() error { return nil }

// Define makes a kind of work with arguments of type A. run must be safe to kill at any point and to
// be run again, even while a run that was given up for dead still ends; it must end soon after ctx. Its result
// must be encodable as JSON and small.
func Define[A Args](s Spec, run func(ctx context.Context, args A, p Progress) (any, error)) (Kind, error) {
	if s.Timeout == 0 {
		s.Timeout = time.Hour
	}
	if s.MaxAttempts == 0 {
		s.MaxAttempts = 5
	}
	if err := s.validate(); err != nil {
		return Kind{}, fmt.Errorf("job kind %q: %w", s.Name, err)
	}
	var zero A
	schema, err := schemaOf(zero)
	if err != nil {
		return Kind{}, fmt.Errorf("job kind %q: arguments: %w", s.Name, err)
	}
	if s.Schedule.Every > 0 {
		if err := zero.Validate(); err != nil {
			return Kind{}, fmt.Errorf("job kind %q has a schedule, and %w", s.Name, err)
		}
	}
	return Kind{
		Spec: s, Schema: schema,
		arg: func(raw json.RawMessage) (json.RawMessage, error) {
			a, err := decode[A](raw)
			if err != nil {
				return nil, err
			}
			return json.Marshal(a)
		},
		run: func(ctx context.Context, raw json.RawMessage, p Progress) (any, error) {
			a, err := decode[A](raw)
			if err != nil {
				return nil, err
			}
			return run(ctx, a, p)
		},
	}, nil
}

// Canonical checks arguments (nothing stands for an empty object) and returns them with every field, so that
// equal ones have equal bytes. Errors are *ArgsError.
func (k Kind) Canonical(args json.RawMessage) (json.RawMessage, error) { return k.arg(args) }

// Run does the work.
func (k Kind) Run(ctx context.Context, args json.RawMessage, p Progress) (any, error) {
	return k.run(ctx, args, p)
}

var name = regexp.MustCompile(`^[a-z][a-z0-9-]{1,40}$`)

func (s *Spec) validate() error {
	switch {
	case !name.MatchString(s.Name):
		return errors.New("name: expected lower case letters, digits and hyphens")
	case s.Description == "":
		return errors.New("description: missing")
	case s.Timeout < time.Second || s.Timeout > 24*time.Hour:
		return fmt.Errorf("timeout %v: expected 1 s to 24 h", s.Timeout)
	case s.MaxAttempts < 1 || s.MaxAttempts > 100:
		return fmt.Errorf("max attempts %d: expected 1 to 100", s.MaxAttempts)
	}
	return s.Schedule.validate()
}

func decode[A Args](raw json.RawMessage) (a A, err error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = json.RawMessage("{}")
	}
	if raw = bytes.TrimSpace(raw); raw[0] != '{' {
		return a, &ArgsError{Detail: "expected an object"}
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return a, argsError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return a, &ArgsError{Detail: "something follows the object"}
	}
	if err := a.Validate(); err != nil {
		return a, argsError(err)
	}
	return a, nil
}

func argsError(err error) error {
	var known *ArgsError
	if errors.As(err, &known) {
		return known
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return &ArgsError{Pointer: "/" + wrong.Field, Detail: "a " + wrong.Value + " where it should be " + wrong.Type.String()}
	}
	return &ArgsError{Detail: err.Error()}
}
