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

	"github.com/carasso/carasso/mapdata/tile/state"
)

// publisherCacheBytes bounds the memory of the states that a Publisher keeps.
const publisherCacheBytes = 32 << 20

// Publisher stores new versions of live tiles. Safe for concurrent use, also by several
// processes.
type Publisher struct {
	objects Objects
	live    Live
	now     func() time.Time
	zip     zipPool
	states  *stateCache // what was published last is what the next publication builds on
}

// NewPublisher publishes to the given stores.
func NewPublisher(objects Objects, live Live) *Publisher {
	return &Publisher{
		objects: objects, live: live, now: time.Now,
		states: newStateCache(publisherCacheBytes),
	}
}

// zipPool keeps compressors; the zero value is ready.
type zipPool struct{ pool sync.Pool }

func (p *zipPool) get() *gzip.Writer {
	if w, ok := p.pool.Get().(*gzip.Writer); ok {
		return w
	}
	w, err := gzip.NewWriterLevel(nil, 6)
	if err != nil { // cannot be: 6 is a level
		return gzip.NewWriter(nil)
	}
	return w
}

func (p *zipPool) put(w *gzip.Writer) { p.pool.Put(w) }

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

// attempts bounds how often a publication starts again because others got ahead.
const attempts = 16

// Publish stores a tile (mvt uncompressed; empty: nothing to show) and makes it the
// current one, unless one of the same or a newer version is published already: then it
// returns false. version must grow with the content's age: ms since the epoch.
//
// Content equal to the current one's is not stored again, only its version is raised. The
// version before the current one stays readable; the one before that is deleted. A
// crash between the two stores leaves an object that nothing points to.
func (p *Publisher) Publish(ctx context.Context, layer string, id ID, version int64, mvt []byte) (bool, error) {
	return p.publish(ctx, publication{layer: layer, id: id, version: version, mvt: mvt})
}

// PublishLayer is Publish for a tile of the layers limits, speeds and hazards: at zoom 14
// it also stores what cars are told, from which deltas are answered. records are those of the
// builder's Records method, all of them; none: there is nothing to tell any more. At lower zooms
// there must be none.
//
// Each record keeps the version at which its value changed, and what is gone stays known
// for the layer's horizon (see Horizon), also when several publish at once.
func (p *Publisher) PublishLayer(ctx context.Context, layer string, id ID, version int64, mvt []byte, records []Record) (bool, error) {
	if id.Z != MaxZoom && len(records) > 0 {
		return false, fmt.Errorf("publish %s: records at a zoom other than %d", LiveKey(layer, id), MaxZoom)
	}
	return p.publish(ctx, publication{
		layer: layer, id: id, version: version, mvt: mvt, records: records, told: id.Z == MaxZoom,
	})
}

// Horizon is for how long it is known what is gone from a layer: who holds an older
// version has to take all of it.
func Horizon(layer string) time.Duration {
	switch layer {
	case LimitLayer:
		return 30 * 24 * time.Hour
	case HazardLayer:
		return 24 * time.Hour
	default:
		return time.Hour
	}
}

// publication is one call of Publish or PublishLayer.
type publication struct {
	layer   string
	id      ID
	version int64
	mvt     []byte
	records []Record
	told    bool // records are kept for this tile

	stored map[string]bool // the objects that this call has written
}

func (p *Publisher) publish(ctx context.Context, pub publication) (bool, error) {
	live := LiveKey(pub.layer, pub.id)
	if pub.version <= 0 {
		return false, fmt.Errorf("publish %s: version %d is not positive", live, pub.version)
	}
	pub.stored = make(map[string]bool)
	for range attempts {
		current, count, err := readPointer(ctx, p.live, live)
		if err != nil {
			return false, fmt.Errorf("publish %s: %w", live, err)
		}
		if current != nil && current.Version >= pub.version {
			return false, p.discard(ctx, &pub, current)
		}
		next, err := p.prepare(ctx, &pub, current)
		if err != nil {
			return false, fmt.Errorf("publish %s: %w", live, err)
		}
		item, err := json.Marshal(next)
		if err != nil {
			return false, fmt.Errorf("publish %s: %w", live, err)
		}
		// The count is the one that was read plus one: this fails if anybody else wrote in
		// between, even an older version, on which next's records would not build.
		won, err := p.live.PutIfNewer(ctx, live, count+1, item, 0)
		if err != nil {
			return false, fmt.Errorf("publish %s: move pointer: %w", live, err)
		}
		if !won {
			continue
		}
		if current != nil {
			for _, key := range []string{current.Previous, current.PreviousRecords} {
				pub.stored[key] = true
			}
		}
		return true, p.discard(ctx, &pub, next)
	}
	return false, fmt.Errorf("publish %s: others got ahead %d times", live, attempts)
}

// prepare stores what the next pointer needs.
func (p *Publisher) prepare(ctx context.Context, pub *publication, current *Pointer) (*Pointer, error) {
	if current == nil {
		current = &Pointer{}
	}
	next := &Pointer{Version: pub.version, PublishedAt: p.now().UTC()}
	if len(pub.mvt) > 0 {
		sum := sha256.Sum256(pub.mvt)
		next.ETag = hex.EncodeToString(sum[:12])
	}
	if next.ETag == current.ETag {
		next.Key, next.Previous = current.Key, current.Previous
	} else {
		next.Previous = current.Key
		if len(pub.mvt) > 0 {
			next.Key = ObjectKey(pub.layer, pub.id, strconv.FormatInt(pub.version, 10)+"-"+next.ETag[:8])
			if err := p.store(ctx, pub, next.Key); err != nil {
				return nil, err
			}
		}
	}
	return next, p.prepareRecords(ctx, pub, current, next)
}

func (p *Publisher) prepareRecords(ctx context.Context, pub *publication, current, next *Pointer) error {
	if !pub.told {
		next.PreviousRecords = current.Records
		if current.Records == "" {
			next.PreviousRecords = current.PreviousRecords
		}
		return nil
	}
	before := &state.State{}
	if current.Records != "" {
		var err error
		// What can't be read, because it is gone or corrupt, is begun anew: whoever holds
		// anything of it takes all.
		before, err = p.states.get(ctx, p.objects, current.Records)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, state.ErrCorrupt) {
			before = &state.State{}
		} else if err != nil {
			return err
		}
	}
	after := before.Advance(pub.version, pub.records, Horizon(pub.layer).Milliseconds())
	if after == before {
		next.Records, next.Changed, next.PreviousRecords = current.Records, current.Changed, current.PreviousRecords
		return nil
	}
	body := after.Encode()
	sum := sha256.Sum256(body)
	next.Records, next.Changed = recordsKey(pub.layer, pub.id, pub.version, hex.EncodeToString(sum[:4])), pub.version
	next.PreviousRecords = current.Records
	if !pub.stored[next.Records] {
		if err := p.objects.Put(ctx, next.Records, body, "application/octet-stream", ""); err != nil {
			return fmt.Errorf("store %s: %w", next.Records, err)
		}
		pub.stored[next.Records] = true
		p.states.put(next.Records, after, len(body))
	}
	return nil
}

// discard deletes of the publication's objects what a pointer does not need: that of the
// winner, which may share objects with a loser of the same version.
func (p *Publisher) discard(ctx context.Context, pub *publication, winner *Pointer) error {
	for key := range pub.stored {
		switch key {
		case "", winner.Key, winner.Previous, winner.Records, winner.PreviousRecords:
			continue
		}
		if err := p.objects.Delete(ctx, key); err != nil {
			return fmt.Errorf("publish %s: delete %s: %w", LiveKey(pub.layer, pub.id), key, err)
		}
	}
	return nil
}

func (p *Publisher) store(ctx context.Context, pub *publication, key string) error {
	if pub.stored[key] {
		return nil
	}
	w := p.zip.get()
	defer p.zip.put(w)
	body, err := Compress(w, pub.mvt)
	if err != nil {
		return fmt.Errorf("compress %s: %w", key, err)
	}
	if err := p.objects.Put(ctx, key, body, ContentType, "gzip"); err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	pub.stored[key] = true
	return nil
}

// readPointer is a live tile's item and how often it was written; nil if there is none.
func readPointer(ctx context.Context, store Live, key string) (ptr *Pointer, count int64, err error) {
	item, count, err := store.Get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read pointer: %w", err)
	}
	ptr = new(Pointer)
	if err := json.Unmarshal(item, ptr); err != nil {
		return nil, 0, fmt.Errorf("decode pointer: %w", err)
	}
	return ptr, count, nil
}
