package pgserver

import (
	"fmt"
	"os"
	"sync"
)

// tailBytes is how much of the end is kept in memory for error messages.
const tailBytes = 4 << 10

// boundedLog is a log file that is moved to name.1 when it is full. Write never fails the writer: what
// can't be written is dropped. Safe for concurrent use.
type boundedLog struct {
	mu   sync.Mutex
	path string
	max  int64
	size int64
	file *os.File
	tail []byte
}

func openLog(path string, limit int64) (*boundedLog, error) {
	l := &boundedLog{path: path, max: limit}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *boundedLog) open() error {
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return fmt.Errorf("log file: %w", err)
	}
	l.file, l.size = file, info.Size()
	return nil
}

// Write implements io.Writer; it always takes all of p.
func (l *boundedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, p...)
	if over := len(l.tail) - tailBytes; over > 0 {
		l.tail = append(l.tail[:0], l.tail[over:]...)
	}
	if l.file != nil && l.size+int64(len(p)) > l.max {
		_ = l.file.Close()
		l.file = nil
		if os.Rename(l.path, l.path+".1") == nil {
			_ = l.open()
		}
	}
	if l.file != nil {
		n, _ := l.file.Write(p)
		l.size += int64(n)
	}
	return len(p), nil
}

// Tail is the end of what was written.
func (l *boundedLog) Tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.tail)
}

// Close closes the file; what is written later is only in Tail.
func (l *boundedLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
