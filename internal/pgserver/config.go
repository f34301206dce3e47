package pgserver

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Config says where a server's files are and how it is tuned.
type Config struct {
	// DataDir is the cluster's folder, made by initdb if it isn't there. Required. When the process is
	// root, the folder belongs to RunAs, who must be able to reach it.
	DataDir string
	// BinDir holds postgres and initdb; "" searches as Find does.
	BinDir string
	// RunAs is the user to run as when the process is root (PostgreSQL refuses root); "" is the
	// owner of an existing DataDir, else postgres, else nobody. Ignored when not root.
	RunAs string
	// LogFile receives what the server logs; "" is DataDir with ".log" appended.
	LogFile string
	// MaxLogBytes bounds the log file; one older file of that size is kept. Default 8 MiB.
	MaxLogBytes int64
	// SharedBuffersMB is PostgreSQL's page cache in MiB; default 256.
	SharedBuffersMB int
	// MaxWALSizeMB is how much write-ahead log in MiB may gather between checkpoints; default 2,048. It
	// bounds crash recovery and disk use, and smaller means more full-page writes.
	MaxWALSizeMB int
	// MaxConnections defaults to 64.
	MaxConnections int
	// Settings override or add server settings by name (as in postgresql.conf).
	Settings map[string]string
	// FastUnsafe gives up durability (fsync=off and the like): for tests only.
	FastUnsafe bool
	// Logger is required.
	Logger *slog.Logger
}

func (c *Config) setDefaults() error {
	if c.DataDir == "" {
		return errors.New("pgserver: DataDir is empty")
	}
	if c.Logger == nil {
		return errors.New("pgserver: Logger is nil")
	}
	abs, err := filepath.Abs(c.DataDir)
	if err != nil {
		return fmt.Errorf("pgserver: DataDir: %w", err)
	}
	c.DataDir = abs
	if c.LogFile == "" {
		c.LogFile = c.DataDir + ".log"
	}
	for _, field := range []struct {
		name          string
		value         *int
		def, min, max int
	}{
		{"SharedBuffersMB", &c.SharedBuffersMB, 256, 1, 1 << 20},
		{"MaxWALSizeMB", &c.MaxWALSizeMB, 2048, 32, 1 << 20},
		{"MaxConnections", &c.MaxConnections, 64, 1, 10_000},
	} {
		if *field.value == 0 {
			*field.value = field.def
		}
		if *field.value < field.min || *field.value > field.max {
			return fmt.Errorf("pgserver: %s is %d, allowed are %d to %d", field.name, *field.value, field.min, field.max)
		}
	}
	if c.MaxLogBytes == 0 {
		c.MaxLogBytes = 8 << 20
	}
	if c.MaxLogBytes < 1<<10 {
		return fmt.Errorf("pgserver: MaxLogBytes is %d, at least 1,024 are needed", c.MaxLogBytes)
	}
	for name := range c.Settings {
		if !settingName.MatchString(name) {
			return fmt.Errorf("pgserver: %q is no setting's name", name)
		}
	}
	return nil
}

var settingName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_.]*$`)

// arguments are the server's command line. The tuning is for insert-only load with few large
// transactions: rare checkpoints, a write-ahead log without what only replicas need, no JIT.
func (c *Config) arguments(socketDir string) []string {
	settings := map[string]string{
		"listen_addresses":          "",
		"port":                      port,
		"unix_socket_directories":   socketDir,
		"unix_socket_permissions":   "0700",
		"max_connections":           strconv.Itoa(c.MaxConnections),
		"shared_buffers":            fmt.Sprintf("%dMB", c.SharedBuffersMB),
		"fsync":                     "on",
		"synchronous_commit":        "on",
		"full_page_writes":          "on",
		"wal_level":                 "minimal",
		"max_wal_senders":           "0",
		"wal_buffers":               "16MB",
		"max_wal_size":              fmt.Sprintf("%dMB", c.MaxWALSizeMB),
		"min_wal_size":              fmt.Sprintf("%dMB", max(32, c.MaxWALSizeMB/4)),
		"checkpoint_timeout":        "15min",
		"work_mem":                  "16MB",
		"maintenance_work_mem":      "128MB",
		"effective_cache_size":      fmt.Sprintf("%dMB", 4*c.SharedBuffersMB),
		"random_page_cost":          "1.1",
		"jit":                       "off",
		"autovacuum_naptime":        "30s",
		"logging_collector":         "off",
		"log_destination":           "stderr",
		"log_checkpoints":           "off",
		"log_line_prefix":           "%m [%p] ",
		"log_timezone":              "UTC",
		"timezone":                  "UTC",
		"max_locks_per_transaction": "256", // many partitions
		"log_lock_waits":            "on",
	}
	if c.FastUnsafe {
		maps.Copy(settings, map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off",
			"log_lock_waits": "off",
		})
	}
	maps.Copy(settings, c.Settings)
	args := []string{"-D", c.DataDir}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// lastLines is the end of what the server said, for error messages.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
