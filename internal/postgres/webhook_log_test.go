package postgres

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// The log of deliveries ends by what became of each, and by when it was last sent; who was told of a hazard is known as long as the hazard is.
func TestWebhookLogEnds(t *testing.T) {
	db := openTest(t)
	ctx := t.Context()
	now := time.Now()
	if _, err := db.pool.Exec(ctx, `INSERT INTO webhook (id, url, host, description, categories, south_e7, west_e7, north_e7, east_e7, min_probability, secret, cursor, created_by)
		VALUES ('wh', 'https://a.example', 'a.example:443', '', '{}', 0, 0, 1, 1, 0, '', 0, 'tester')`); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, d := range []struct {
		name, state   string
		planned, last time.Duration // ago; last 0: never tried
		kept          bool
	}{
		{"delivered lately", "delivered", 7*day - time.Hour, 7*day - time.Hour, true},
		{"delivered a week ago", "delivered", 7*day + time.Hour, 7*day + time.Hour, false},
		{"delivered at last after days", "delivered", 9 * day, 6 * day, true},
		{"sent again", "delivered", 29 * day, time.Minute, true},
		{"given up", "dead", 30*day - time.Hour, 29 * day, true},
		{"given up a month ago", "dead", 30*day + time.Hour, 29 * day, false},
		{"waits", "pending", 30*day - time.Hour, 0, true},
		{"waits for a month", "pending", 30*day + time.Hour, 0, false},
	} {
		var last *time.Time
		if d.last != 0 {
			at := now.Add(-d.last)
			last = &at
		}
		if _, err := db.pool.Exec(ctx, "INSERT INTO webhook_delivery (webhook, event, type, body, state, created_at, last_at) VALUES ('wh', $1, 'org.carasso.hazard.started', '', $2, $3, $4)",
			d.name, d.state, now.Add(-d.planned), last); err != nil {
			t.Fatal(err)
		}
		if d.kept {
			want = append(want, d.name)
		}
	}
	if _, err := db.pool.Exec(ctx, "INSERT INTO webhook_told VALUES ('wh', 1, 1)"); err != nil { // of a hazard that is past its own retention
		t.Fatal(err)
	}
	maintain(ctx, t, db)
	rows, err := db.pool.Query(ctx, "SELECT event FROM webhook_delivery ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || !slices.Equal(got, want) {
		t.Errorf("kept %q, %v\nwant %q", got, err, want)
	}
	if n := count(t, db, "SELECT count(*) FROM webhook_told"); n != 0 {
		t.Errorf("%d hazards that are no more are still to be told of", n)
	}
	maintain(ctx, t, db.at(now.Add(31*day)))
	if n := count(t, db, "SELECT count(*) FROM webhook_delivery"); n != 0 {
		t.Errorf("%d deliveries are kept after a month", n)
	}
	if n := count(t, db, "SELECT count(*) FROM webhook"); n != 1 {
		t.Errorf("%d webhooks, want the one", n)
	}
}
