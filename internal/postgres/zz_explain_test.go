package postgres
import ("testing";"math/rand/v2";"time";"fmt")
func TestExplain(t *testing.T) {
	db := openTest(t)
	start := time.Now().UTC().Truncate(24 * time.Hour).Add(-20 * time.Hour)
	r := rand.New(rand.NewPCG(1, 2))
	for id := range byte(4) {
		es := receiverRun(r, id, start, 250_000, 40*time.Millisecond, 0.001)
		for _, e := range es { e.voided = false }
		storeRun(t, db, es)
	}
	db.pool.Exec(t.Context(), "ANALYZE envelope")
	show := func(q string, a ...any) {
		s := time.Now()
		rows, err := db.pool.Query(t.Context(), "EXPLAIN (ANALYZE, BUFFERS OFF, TIMING OFF) "+q, a...)
		if err != nil { t.Fatal(err) }
		for rows.Next() { var l string; rows.Scan(&l); if len(l) < 200 { fmt.Println(l) } }
		fmt.Println("TOOK", time.Since(s))
	}
	from, to := start, start.Add(20*time.Hour)
	show(ledgerRuns, from, to)
	tx, _ := db.pool.Begin(t.Context())
	s := time.Now()
	runs, err := readRuns(t.Context(), tx, from, to)
	fmt.Println("runs", len(runs), err, time.Since(s)); s = time.Now()
	spans, err := suspicious(t.Context(), tx, runs)
	fmt.Println("spans", len(spans), err, time.Since(s)); s = time.Now()
	b, err := readBreaks(t.Context(), tx, spans, from, to)
	fmt.Println("breaks", len(b), err, time.Since(s)); s = time.Now()
	tx.Rollback(t.Context())
	receivers, lo, hi := make([][16]byte, len(spans)), make([]int64, len(spans)), make([]int64, len(spans))
	for i, s := range spans { receivers[i], lo[i], hi[i] = s.receiver, s.lo, s.hi }
	show(ledgerBreaks, receivers, lo, hi, from, to)
}
