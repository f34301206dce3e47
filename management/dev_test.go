package management_test

import (
	"os"
	"testing"
	"time"
)

func TestDev(t *testing.T) {
	if os.Getenv("DEV") == "" {
		return
	}
	b := newBench(t, nil)
	_ = os.WriteFile("/tmp/dev.url", []byte(b.URL+"\n"+b.token(t, "analyst")+"\n"), 0o600)
	time.Sleep(30 * time.Minute)
}
