package jetstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	maxValue       = 64 << 10
	itemHeaderSize = 16 // version, expiry in ms since the epoch or 0; big endian
	// codeWrongLastSequence is the server's refusal of a write whose expectation failed, as is its
	// variant without the sequence.
	codeWrongLastSequence         = 10071
	codeWrongLastSequenceConstant = 10164
)

var liveKey = regexp.MustCompile(`^[a-zA-Z0-9/_.:-]{1,200}$`)

// LiveConfig describes a live store.
type LiveConfig struct {
	// Name is 1 to 64 letters, digits, - and _. Required.
	Name string
	// MaxBytes bounds the store's files; a full store refuses new items with ErrFull. Default 1 GiB.
	MaxBytes int64
}

// LiveStore keeps small items under version conditions: a stream that holds the last message of
// each subject. It is safe for concurrent use. What it promises is written and tested in package livetest.
// Expiry is exact when read; the space of expired items is freed a little later.
type LiveStore struct {
	server *Server
	prefix string
	stream jetstream.Stream
}

// LiveStore opens the store, and creates it if it isn't there.
func (s *Server) LiveStore(ctx context.Context, config LiveConfig) (*LiveStore, error) {
	if !queueName.MatchString(config.Name) {
		return nil, fmt.Errorf("jetstream: live store name %q: 1 to 64 letters, digits, - and _ are needed", config.Name)
	}
	if config.MaxBytes == 0 {
		config.MaxBytes = 1 << 30
	}
	l := &LiveStore{server: s, prefix: "live." + config.Name + "."}
	var err error
	l.stream, err = s.stream(ctx, jetstream.StreamConfig{
		Name:              "live-" + config.Name,
		Subjects:          []string{l.prefix + "*"},
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardNew,
		MaxBytes:          config.MaxBytes,
		MaxMsgs:           -1,
		MaxMsgsPerSubject: 1,
		AllowDirect:       true,
		AllowMsgTTL:       true,
	})
	if err != nil {
		return nil, fmt.Errorf("open live store %s: %w", config.Name, err)
	}
	return l, nil
}

// item is what is stored, and where.
type item struct {
	version  int64
	value    []byte
	sequence uint64 // in the stream; 0 if there is none
	live     bool   // neither absent nor expired
}

// Get implements the port.
func (l *LiveStore) Get(ctx context.Context, key string) (value []byte, version int64, err error) {
	it, err := l.read(ctx, key)
	if err == nil && !it.live {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, 0, fmt.Errorf("get item %q: %w", key, err)
	}
	return it.value, it.version, nil
}

// PutIfNewer implements the port.
func (l *LiveStore) PutIfNewer(ctx context.Context, key string, version int64, value []byte, ttl time.Duration) (bool, error) {
	ok, err := l.write(ctx, key, version, value, ttl, func(old item) bool { return old.version < version })
	if err != nil {
		return false, fmt.Errorf("put item %q: %w", key, err)
	}
	return ok, nil
}

// Create implements the port.
func (l *LiveStore) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	ok, err := l.write(ctx, key, 0, value, ttl, func(item) bool { return false })
	if err != nil {
		return false, fmt.Errorf("create item %q: %w", key, err)
	}
	return ok, nil
}

// Delete implements the port.
func (l *LiveStore) Delete(ctx context.Context, key string) error {
	for {
		it, err := l.read(ctx, key)
		if err != nil {
			return fmt.Errorf("delete item %q: %w", key, err)
		}
		if it.sequence == 0 {
			return nil
		}
		err = l.stream.DeleteMsg(ctx, it.sequence)
		if err == nil {
			return nil
		}
		// Replaced, deleted or expired since it was read: look again.
		if now, again := l.read(ctx, key); again != nil || now.sequence == it.sequence {
			return fmt.Errorf("delete item %q: %w", key, err)
		}
	}
}

func (l *LiveStore) subject(key string) (string, error) {
	if !liveKey.MatchString(key) {
		return "", errors.New("invalid key: 1 to 200 of a-z A-Z 0-9 / _ . : - are allowed")
	}
	return l.prefix + strings.ReplaceAll(key, ".", "%"), nil // a dot would divide the subject
}

func (l *LiveStore) read(ctx context.Context, key string) (item, error) {
	subject, err := l.subject(key)
	if err != nil {
		return item{}, err
	}
	msg, err := l.stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return item{}, nil
	}
	if err != nil {
		return item{}, err
	}
	if len(msg.Data) < itemHeaderSize {
		return item{}, fmt.Errorf("the stored item has %d bytes, at least %d are needed", len(msg.Data), itemHeaderSize)
	}
	expires := int64(binary.BigEndian.Uint64(msg.Data[8:]))
	return item{
		version:  int64(binary.BigEndian.Uint64(msg.Data)),
		value:    msg.Data[itemHeaderSize:],
		sequence: msg.Sequence,
		live:     expires == 0 || time.Now().UnixMilli() < expires,
	}, nil
}

// write stores the item if the old one is absent or expired, or replace says so. Each attempt is bound to what was read, so of
// concurrent writers one succeeds and the others look again.
func (l *LiveStore) write(ctx context.Context, key string, version int64, value []byte, ttl time.Duration, replace func(item) bool) (bool, error) {
	switch {
	case version < 0:
		return false, fmt.Errorf("version %d is negative", version)
	case ttl < 0:
		return false, fmt.Errorf("time to live %v is negative", ttl)
	case len(value) > maxValue:
		return false, fmt.Errorf("a value of %d bytes, at most %d are allowed", len(value), maxValue)
	}
	if err := l.server.space.Check(); err != nil {
		return false, err
	}
	subject, err := l.subject(key)
	if err != nil {
		return false, err
	}
	for {
		old, err := l.read(ctx, key)
		if err != nil {
			return false, err
		}
		if old.live && !replace(old) {
			return false, nil
		}
		_, err = l.server.js.PublishMsg(ctx, encodeItem(subject, version, value, ttl), jetstream.WithExpectLastSequencePerSubject(old.sequence))
		if err == nil {
			return true, nil
		}
		if api := (*jetstream.APIError)(nil); !errors.As(err, &api) ||
			api.ErrorCode != codeWrongLastSequence && api.ErrorCode != codeWrongLastSequenceConstant {
			return false, refusal(err)
		}
	}
}

func encodeItem(subject string, version int64, value []byte, ttl time.Duration) *nats.Msg {
	msg := nats.NewMsg(subject)
	msg.Data = make([]byte, itemHeaderSize, itemHeaderSize+len(value))
	binary.BigEndian.PutUint64(msg.Data, uint64(version))
	if ttl > 0 {
		binary.BigEndian.PutUint64(msg.Data[8:], uint64(time.Now().Add(ttl).UnixMilli()))
		// Whole seconds, never before the item's own time.
		msg.Header.Set(jetstream.MsgTTLHeader, fmt.Sprintf("%ds", int64(math.Ceil(ttl.Seconds()))+1))
	}
	msg.Data = append(msg.Data, value...)
	return msg
}
