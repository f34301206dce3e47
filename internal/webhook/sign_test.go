package webhook_test

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/webhook"
)

// The test vector of the reference libraries of Standard Webhooks.
func TestSignGolden(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	at := time.Unix(1614265330, 999)
	if got := webhook.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, []byte(`{"test": 2432232314}`), key); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	two := webhook.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, []byte(`{"test": 2432232314}`), []byte("another"), key)
	if all := strings.Split(two, " "); len(all) != 2 || all[1] != want || all[0] == want {
		t.Errorf("two keys: %s", two)
	}
}

func TestSecretHidesItself(t *testing.T) {
	s := webhook.NewSecret()
	shown := s.Reveal()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(shown, "whsec_"))
	if err != nil || !strings.HasPrefix(shown, "whsec_") || webhook.Secret(raw) != s {
		t.Fatalf("%s: %v", shown, err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s)
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s", s, s, s, s), log.String()} {
		if !strings.Contains(text, "[secret]") || strings.Contains(text, shown) || strings.Contains(text, fmt.Sprint(raw[0], raw[1])) {
			t.Errorf("%s shows the secret", text)
		}
	}
}
