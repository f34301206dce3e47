package vehiclestatus

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func (m *memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.items, key)
	return nil
}

func (m *memory) holds(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.items[key]
	return ok
}

// What a receiver noted of a vehicle before it was forgotten is never written again, of others nothing changes, and what comes later
// is noted anew.
func TestForgottenInRunningReceivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		a, b := newNotebook(t, store, Config{}), newNotebook(t, store, Config{})
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, n := range []*Notebook{a, b} {
			wg.Go(func() { _ = n.Run(ctx) })
		}
		now := func(n *Notebook, vehicle string) {
			n.Accepted(vehicle, Seen{At: time.Now(), Credential: "token", Model: "G30"})
		}
		now(a, car)
		now(a, "other")
		for range 3 {
			b.Rejected(car, Seen{At: time.Now(), Credential: "token"}, badLat)
		}
		time.Sleep(time.Second)
		if !store.holds(Key(id(car))) {
			t.Fatal("nothing was written")
		}
		e := Eraser{Store: store, Now: time.Now}
		for range 2 { // twice is once
			if err := e.Forget(t.Context(), id(car)); err != nil {
				t.Fatal(err)
			}
		}
		b.Rejected(car, Seen{At: time.Now(), Credential: "token"}, badLat) // known when it is about to be forgotten
		time.Sleep(ForgetWithin)
		for range 2 {
			if err := e.Delete(t.Context(), id(car)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		if store.holds(Key(id(car))) || !store.holds(Key(id("other"))) {
			t.Error("the forgotten one came back, or another went")
		}
		for _, n := range []*Notebook{a, b} {
			for i := range n.shards {
				for _, v := range n.shards[i].notes {
					if v.id == id(car) {
						t.Error("a receiver remembers the vehicle")
					}
				}
			}
		}
		now(a, car)
		time.Sleep(time.Second)
		if s := read(t, store, car); s.Rejected != nil || s.AcceptedMS == 0 {
			t.Errorf("what came later is %+v", s)
		}
		// Forgotten once more: it is on the list anew.
		if err := e.Forget(t.Context(), id(car)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(ForgetWithin)
		if err := e.Delete(t.Context(), id(car)); err != nil {
			t.Fatal(err)
		}
		stop()
		wg.Wait()
		if store.holds(Key(id(car))) {
			t.Error("the last writes brought it back")
		}
	})
}

func TestTheListOfForgottenIsBounded(t *testing.T) {
	store := newMemory()
	for i := range maxForgotten + 10 {
		if err := Forget(t.Context(), store, ID{byte(i), byte(i >> 8)}, noon.Add(time.Duration(i)*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	n := newNotebook(t, store, Config{})
	n.forget(t.Context())
	if len(n.forgotten) != maxForgotten {
		t.Errorf("%d on the list", len(n.forgotten))
	}
	if err := Forget(t.Context(), store, ID{1}, noon.Add(2*forgottenFor)); err != nil {
		t.Fatal(err)
	}
	if n.forget(t.Context()); len(n.forgotten) != 1 {
		t.Errorf("%d on the list after all others are past", len(n.forgotten))
	}
	store.items[forgottenKey] = item{[]byte(`[{"id":"zz","at":1},{"id":"","at":1},{"id":"` + string(make([]byte, 100)) + `"}]`), 1}
	n.forget(t.Context()) // nonsense does no harm
}
