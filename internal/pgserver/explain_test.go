package pgserver_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carasso/carasso/internal/pgserver"
)

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// TestExplains checks that what a newcomer can meet is explained.
func TestExplains(t *testing.T) {
	fake := func(version string) func(t *testing.T, c *pgserver.Config) {
		return func(t *testing.T, c *pgserver.Config) {
			t.Helper()
			c.BinDir = filepath.Join(filepath.Dir(c.DataDir), "bin")
			write(t, filepath.Join(c.BinDir, "postgres"), "#!/bin/sh\necho 'postgres (PostgreSQL) "+version+"'\n", 0o755)
			write(t, filepath.Join(c.BinDir, "initdb"), "#!/bin/sh\necho broken disk >&2; exit 1\n", 0o755)
		}
	}
	for name, test := range map[string]struct {
		prepare func(t *testing.T, c *pgserver.Config)
		want    []string
	}{
		"folder of another version": {
			func(t *testing.T, c *pgserver.Config) {
				t.Helper()
				write(t, filepath.Join(c.DataDir, "PG_VERSION"), "9\n", 0o600)
			},
			[]string{"made by PostgreSQL 9", "PostgreSQL 9 is needed"},
		},
		"binaries too old": {fake("12.3"), []string{"PostgreSQL 14 or newer is needed", "12 in"}},
		"folder of something else": {
			func(t *testing.T, c *pgserver.Config) {
				t.Helper()
				write(t, filepath.Join(c.DataDir, "photo.jpg"), "", 0o600)
			},
			[]string{"not empty", "not a PostgreSQL cluster"},
		},
		"initdb fails": {fake("16.1"), []string{"initdb", "broken disk"}},
		"setting unknown": {
			func(_ *testing.T, c *pgserver.Config) { c.Settings = map[string]string{"no_such_setting": "1"} },
			[]string{"no_such_setting"},
		},
		"name of a setting": {
			func(_ *testing.T, c *pgserver.Config) { c.Settings = map[string]string{"a b": "1"} },
			[]string{`"a b"`},
		},
		"out of range": {
			func(_ *testing.T, c *pgserver.Config) { c.MaxConnections = -1 },
			[]string{"MaxConnections", "1 to 10000"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(filepath.Join(openDir(t), "data"))
			test.prepare(t, &c)
			s, err := pgserver.Start(t.Context(), c)
			if err == nil {
				stop(t, s)
				t.Fatal("it started")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Start = %v, want it to say %q", err, want)
				}
			}
		})
	}
}

func TestFindExplains(t *testing.T) {
	if _, err := pgserver.Find(t.Context(), t.TempDir(), 0); err == nil {
		t.Error("found PostgreSQL in an empty folder")
	}
	if text := pgserver.ErrNoBinaries.Error(); !strings.Contains(text, "apt-get install postgresql") || !strings.Contains(text, "brew") {
		t.Errorf("ErrNoBinaries = %s", text)
	}
	if _, err := pgserver.Find(t.Context(), "", 7); err == nil || errors.Is(err, pgserver.ErrNoBinaries) || !strings.Contains(err.Error(), "found only") {
		t.Errorf("Find of version 7 = %v", err)
	}
	b, err := pgserver.Find(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := pgserver.Find(t.Context(), b.Dir, b.Major); err != nil || again != b {
		t.Errorf("Find(%s) = %v, %v, want %v", b.Dir, again, err, b)
	}
}

// TestUnreachableFolder is what root meets with a data folder below its own home.
func TestUnreachableFolder(t *testing.T) {
	closed := filepath.Join(openDir(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := pgserver.Start(t.Context(), config(filepath.Join(closed, "data")))
	if os.Geteuid() != 0 { // it is our own then, and no other user is involved
		if err != nil {
			t.Fatalf("Start: %v", err)
		}
		stop(t, s)
		return
	}
	if err == nil {
		stop(t, s)
		t.Fatal("it started")
	}
	for _, want := range []string{"may not enter " + closed, "chmod o+x"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Start = %v, want it to say %q", err, want)
		}
	}
}
