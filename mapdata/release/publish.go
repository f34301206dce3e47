package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// maxExport bounds a PMTiles archive that is kept beside its release, in bytes: it is stored in one piece.
const maxExport = 1 << 30

// ErrExportTooLarge is the error about an archive above 1 GiB; `carasso release export` writes such ones to a file.
var ErrExportTooLarge = errors.New("the PMTiles archive is larger than 1 GiB")

// Publish keeps a release's PMTiles archive beside it, unless it is there already, and tells its key and, if it made it, its
// size in bytes. temp is a folder for temporary files, "" the system's.
func Publish(ctx context.Context, o Objects, m *Manifest, temp string) (key string, size int, err error) {
	key = ExportKey(m.Version)
	if _, err := o.Get(ctx, key+".done"); err == nil {
		return key, 0, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return key, 0, fmt.Errorf("look for %s: %w", key, err)
	}
	spool, err := os.CreateTemp(temp, "carasso-pmtiles-*")
	if err != nil {
		return key, 0, fmt.Errorf("export %s: %w", m.Version, err)
	}
	defer func() { err = errors.Join(err, spool.Close(), os.Remove(spool.Name())) }()
	var out bytes.Buffer
	if _, err := Export(ctx, o, m, &bounded{&out}, spool); err != nil {
		return key, 0, err
	}
	if err := o.Put(ctx, key, out.Bytes(), "application/vnd.pmtiles", ""); err != nil {
		return key, 0, fmt.Errorf("write %s: %w", key, err)
	}
	// A mark, so that nobody has to read the archive to know that it is there.
	if err := o.Put(ctx, key+".done", []byte(m.Hash), "text/plain", ""); err != nil {
		return key, 0, fmt.Errorf("write %s: %w", key, err)
	}
	return key, out.Len(), nil
}

// bounded refuses to grow above maxExport.
type bounded struct{ *bytes.Buffer }

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxExport {
		return 0, ErrExportTooLarge
	}
	return b.Buffer.Write(p)
}
