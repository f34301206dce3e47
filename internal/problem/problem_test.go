package problem

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWriteIsRFC9457(t *testing.T) {
	w := httptest.NewRecorder()
	Write(w, &Problem{
		Kind: InvalidBatch, Detail: "latitude is out of range", Pointer: "/samples/3/lat", Expected: "-90 to 90",
		RetryAfter: 1200 * time.Millisecond, Close: true,
	})
	if w.Code != http.StatusBadRequest {
		t.Errorf("status = %d", w.Code)
	}
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"type": "https://carasso.dev/problems/invalid-batch", "title": "The batch is invalid", "status": 400.0,
		"detail": "latitude is out of range", "pointer": "/samples/3/lat", "expected": "-90 to 90",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{
		"Content-Type": ContentType, "Retry-After": "2", "Connection": "close", "Cache-Control": "no-store",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestEmptyMembersAreLeftOut(t *testing.T) {
	w := httptest.NewRecorder()
	Write(w, New(NotFound, ""))
	want := `{"type":"https://carasso.dev/problems/not-found","title":"There is no such resource","status":404}`
	if got := w.Body.String(); got != want {
		t.Errorf("body = %s, want %s", got, want)
	}
	if got := w.Header().Get("Retry-After"); got != "" {
		t.Errorf("Retry-After = %q", got)
	}
}

func TestUnauthorizedChallenges(t *testing.T) {
	for _, c := range []struct{ challenge, want string }{
		{"", "Bearer"}, {`Bearer error="invalid_token"`, `Bearer error="invalid_token"`},
	} {
		w := httptest.NewRecorder()
		Write(w, &Problem{Kind: Unauthorized, Challenge: c.challenge})
		if got := w.Header().Get("WWW-Authenticate"); got != c.want {
			t.Errorf("WWW-Authenticate = %q, want %q", got, c.want)
		}
	}
}

// The type URIs are public: clients branch on them.
func TestKindsAreStable(t *testing.T) {
	want := []string{
		"500 internal", "400 invalid-batch", "400 invalid-request", "401 unauthorized", "403 forbidden", "404 not-found",
		"405 method-not-allowed", "408 request-timeout", "409 conflict", "413 too-large", "415 unsupported-media",
		"422 outside-time-window", "429 rate-limited", "503 overloaded", "503 queue-unavailable", "503 draining",
		"503 service-unavailable",
	}
	var got []string
	seen := make(map[string]bool)
	for k := range kinds {
		got = append(got, strings.Join([]string{jsonInt(k.Status()), k.String()}, " "))
		if k.Title() == "" || seen[k.Title()] {
			t.Errorf("%v: title %q is empty or taken", k, k.Title())
		}
		seen[k.Title()] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := Kind(200).String(); got != "internal" {
		t.Errorf("unknown kind = %q", got)
	}
}

func jsonInt(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}
