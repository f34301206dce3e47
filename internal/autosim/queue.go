package autosim

import "math"

// parcel is what came into the queue in one second: envelopes of about the same size.
type parcel struct {
	at        int // second
	envelopes int64
	batches   int64
}

// queue is first in, first out.
type queue struct {
	parcels   []parcel
	head      int
	envelopes int64
	batches   int64
}

func (q *queue) put(p parcel) {
	if p.envelopes == 0 {
		return
	}
	q.parcels = append(q.parcels, p)
	q.envelopes += p.envelopes
	q.batches += p.batches
}

// take removes whole envelopes from the front for as long as work, in batches, is enough, and returns what is left of it.
func (q *queue) take(work float64) (taken, left float64) {
	for q.head < len(q.parcels) {
		p := &q.parcels[q.head]
		each := float64(p.batches) / float64(p.envelopes)
		n := int64(min(float64(p.envelopes), math.Floor(work/each+1e-9)))
		if n == 0 {
			return taken, work
		}
		b := p.batches * n / p.envelopes // all of them for the last
		work = max(0, work-float64(b))
		taken += float64(b)
		p.envelopes, p.batches = p.envelopes-n, p.batches-b
		q.envelopes, q.batches = q.envelopes-n, q.batches-b
		if p.envelopes == 0 {
			q.head++
		}
	}
	q.parcels, q.head = q.parcels[:0], 0
	return taken, work
}

// age is that of the oldest envelope, in seconds; 0 if there is none.
func (q *queue) age(now int) int {
	if q.head == len(q.parcels) {
		return 0
	}
	return now - q.parcels[q.head].at
}
