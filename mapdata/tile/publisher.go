package tile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// Publisher stores new versions of live tiles. Safe for concurrent use, also by several
// processes.
type Publisher struct {
	objects Objects
	live    Live
	now     func() time.Time
	zip     sync.Pool // of *gzip.Writer
}

// NewPublisher publishes to the given stores.
func NewPublisher(objects Objects, live Live) *Publisher {
	return &Publisher{
		objects: objects, live: live, now: time.Now,
		zip: sync.Pool{New: func() any { return newGzip() }},
	}
}

func newGzip() *gzip.Writer {
	w, err := gzip.NewWriterLevel(nil, 6)
	if err != nil { // cannot be: 6 is a level
		return gzip.NewWriter(nil)
	}
	return w
}

// Compress is a tile as it is stored.
func Compress(w *gzip.Writer, mvt []byte) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(len(mvt)/2 + 64)
	w.Reset(&out)
	if _, err := w.Write(mvt); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Publish stores a tile (mvt uncompressed; empty: nothing to show) and makes it the
// current one, unless one of the same or a newer version is published already: then it
// returns false. version must grow with the content's age, e.g. ms since the epoch.
//
// Content equal to the current one's is not stored again, only its version is raised. The
// version before the current one stays readable; the one before that is deleted. A
// crash between the two stores leaves an object that nothing points to.
func (p *Publisher) Publish(ctx context.Context, layer string, id ID, version int64, mvt []byte) (bool, error) {
	live := LiveKey(layer, id)
	current, err := p.pointer(ctx, live)
	if err != nil {
		return false, fmt.Errorf("publish %s: %w", live, err)
	}
	if current != nil && current.Version >= version {
		return false, nil
	}
	next := Pointer{Version: version, PublishedAt: p.now().UTC()}
	if len(mvt) > 0 {
		sum := sha256.Sum256(mvt)
		next.ETag = hex.EncodeToString(sum[:12])
	}
	stale := ""
	switch {
	case current != nil && current.ETag == next.ETag:
		next.Key, next.Previous = current.Key, current.Previous
	default:
		if len(mvt) > 0 {
			next.Key = ObjectKey(layer, id, strconv.FormatInt(version, 10))
		}
		if current != nil {
			next.Previous, stale = current.Key, current.Previous
		}
	}
	stored := next.Key != "" && (current == nil || next.Key != current.Key)
	if stored {
		if err := p.store(ctx, next.Key, mvt); err != nil {
			return false, fmt.Errorf("publish %s: %w", live, err)
		}
	}
	item, err := json.Marshal(next)
	if err != nil {
		return false, fmt.Errorf("publish %s: %w", live, err)
	}
	won, err := p.live.PutIfNewer(ctx, live, version, item, 0)
	if err != nil {
		return false, fmt.Errorf("publish %s: move pointer: %w", live, err)
	}
	if !won {
		stale = "" // the winner's
		if stored {
			stale, err = p.loser(ctx, live, next.Key)
			if err != nil {
				return false, fmt.Errorf("publish %s: %w", live, err)
			}
		}
	}
	if stale != "" {
		if err := p.objects.Delete(ctx, stale); err != nil {
			return won, fmt.Errorf("publish %s: delete %s: %w", live, stale, err)
		}
	}
	return won, nil
}

// loser is the object to delete after another publisher won: our own, unless it is the
// winner's too, which then had the same version.
func (p *Publisher) loser(ctx context.Context, live, key string) (string, error) {
	current, err := p.pointer(ctx, live)
	if err != nil || current == nil || current.Key == key || current.Previous == key {
		return "", err
	}
	return key, nil
}

func (p *Publisher) store(ctx context.Context, key string, mvt []byte) error {
	w, ok := p.zip.Get().(*gzip.Writer)
	if !ok {
		w = newGzip()
	}
	defer p.zip.Put(w)
	body, err := Compress(w, mvt)
	if err != nil {
		return fmt.Errorf("compress %s: %w", key, err)
	}
	if err := p.objects.Put(ctx, key, body, ContentType, "gzip"); err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	return nil
}

// pointer is the live item, nil if there is none.
func (p *Publisher) pointer(ctx context.Context, live string) (*Pointer, error) {
	return readPointer(ctx, p.live, live)
}

func readPointer(ctx context.Context, store Live, key string) (*Pointer, error) {
	item, version, err := store.Get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read pointer: %w", err)
	}
	var ptr Pointer
	if err := json.Unmarshal(item, &ptr); err != nil {
		return nil, fmt.Errorf("decode pointer: %w", err)
	}
	ptr.Version = version
	return &ptr, nil
}
