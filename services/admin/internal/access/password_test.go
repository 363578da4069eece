package access

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAPasswordIsKnownByItsHashAndNoOtherIs(t *testing.T) {
	cheap(t)
	hash := hashPassword("correct horse battery")
	if other := hashPassword("correct horse battery"); other == hash {
		t.Error("two hashes of one password are the same")
	}
	for password, want := range map[string]bool{"correct horse battery": true, "correct horse batter": false, "Correct horse battery": false, "": false} {
		if right, again, err := checkPassword(hash, password); err != nil || right != want || again {
			t.Errorf("%q: %v, %v, %v", password, right, again, err)
		}
	}
	// One of less work is still right, and to be made again.
	was := present
	present = work{memory: 16, time: 1, threads: 1}
	old := hashPassword("correct horse battery")
	present = was
	if right, again, err := checkPassword(old, "correct horse battery"); err != nil || !right || !again {
		t.Errorf("an old hash: %v, %v, %v", right, again, err)
	}
}

func TestAHashThatAsksForTooMuchIsRefused(t *testing.T) {
	hash := hashPassword("correct horse battery")
	for _, bad := range []string{
		"", "x", "$argon2id$", strings.Replace(hash, "argon2id", "argon2i", 1), strings.Replace(hash, "v=19", "v=16", 1),
		strings.Replace(hash, "m=32768", "m=4194304", 1), strings.Replace(hash, "t=3", "t=1000", 1), strings.Replace(hash, "t=3", "t=0", 1),
		strings.Replace(hash, "p=1", "p=200", 1), strings.Replace(hash, "p=1", "p=1,x", 1), hash + "$", hash[:len(hash)-30], strings.Replace(hash, "m=32768", "m=-1", 1),
	} {
		if right, _, err := checkPassword(bad, "correct horse battery"); err == nil || right {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestNewPasswordsAreLongAndNotTheName(t *testing.T) {
	for password, ok := range map[string]bool{
		"": false, "short": false, "eleven char": false, "twelve chars": true, "zwölf Zeichen und ein paar": true, strings.Repeat("a", 40): false,
		"ada@example.com": false, "ADA@example.com": false, strings.Repeat("ab", 128): true, strings.Repeat("ab", 128) + "c": false,
	} {
		if got := len(passwordField("ada@example.com", password)) == 0; got != ok {
			t.Errorf("%q is taken: %v", password, got)
		}
	}
}

// cheap makes hashes cost nothing for a test.
func cheap(t *testing.T) {
	t.Helper()
	was := present
	present = work{memory: 8, time: 1, threads: 1}
	t.Cleanup(func() { present = was })
}

func TestWrongPasswordsSlowANameDownWhoeverHasIt(t *testing.T) {
	cheap(t)
	now := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	d := NewDoorman(func() time.Time { return now })
	ctx := context.Background()
	hash := hashPassword("right password")
	for name, hash := range map[string]string{"ada": hash, "nobody": ""} {
		try := func(password string) error { _, err := d.check(ctx, name, hash, password); return err }
		for i := range freeTries {
			if err := try("wrong"); !errors.Is(err, ErrWrong) {
				t.Fatalf("%s: try %d answered %v", name, i, err)
			}
		}
		var waited []time.Duration
		for range 10 {
			var slow *SlowDownError
			if err := try("right password"); !errors.As(err, &slow) {
				t.Fatalf("%s is not slowed down: %v", name, err)
			}
			waited = append(waited, slow.For)
			now = now.Add(slow.For)
			if err := try("wrong"); !errors.Is(err, ErrWrong) {
				t.Fatalf("%s: after the wait it answered %v", name, err)
			}
		}
		if waited[0] != time.Second || waited[1] != 2*time.Second || waited[9] != longestWait {
			t.Errorf("%s waited %v", name, waited)
		}
		if err := try("wrong"); err == nil {
			t.Error("no wait")
		}
		if _, err := d.check(ctx, "grace", hash, "wrong"); !errors.Is(err, ErrWrong) {
			t.Errorf("another name answered %v", err)
		}
	}
	// The right one ends it.
	now = now.Add(longestWait)
	if _, err := d.check(ctx, "ada", hash, "right password"); err != nil {
		t.Fatal(err)
	}
	if d.before("ada") != 0 || d.before("nobody") == 0 {
		t.Errorf("%d and %d wrong ones are remembered", d.before("ada"), d.before("nobody"))
	}
	now = now.Add(forgetAfter)
	if d.before("nobody") != 0 {
		t.Error("wrong ones are remembered for ever")
	}
}

func TestManyGuessesAtOnceAreNotCheaper(t *testing.T) {
	cheap(t)
	d := NewDoorman(func() time.Time { return time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC) })
	hash := hashPassword("right password")
	var mu sync.Mutex
	looked := 0
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			if _, err := d.check(context.Background(), "ada", hash, "wrong"); errors.Is(err, ErrWrong) {
				mu.Lock()
				looked++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if looked != freeTries {
		t.Errorf("%d guesses were looked at, want %d", looked, freeTries)
	}
}

func TestFewPasswordsAreCheckedAtOnceAndTheRestIsToldSo(t *testing.T) {
	cheap(t)
	d := NewDoorman(nil)
	held, let := make(chan struct{}, checksWaiting), make(chan struct{})
	var wg sync.WaitGroup
	for range checksAtOnce {
		wg.Go(func() { _ = d.work(context.Background(), func() { held <- struct{}{}; <-let }) })
	}
	for range checksAtOnce {
		<-held
	}
	// Nobody else gets in; who gives up takes nobody's place, and no try with them.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := d.check(ctx, "ada", "", "x"); !errors.Is(err, context.Canceled) || d.before("ada") != 0 {
		t.Errorf("waiting answered %v", err)
	}
	for range checksWaiting - checksAtOnce {
		d.queue <- struct{}{}
	}
	if _, err := d.check(context.Background(), "ada", "", "x"); !errors.Is(err, ErrBusy) || d.before("ada") != 0 {
		t.Errorf("one too many answered %v", err)
	}
	close(let)
	wg.Wait()
}

func TestADoormanRemembersFewNames(t *testing.T) {
	now := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	d := NewDoorman(func() time.Time { return now })
	for i := range namesKept + 50 {
		now = now.Add(time.Microsecond)
		if err := d.admit(time.Duration(i).String()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.wrong); n > namesKept {
		t.Errorf("%d names are kept", n)
	}
	if d.before(time.Duration(0).String()) != 0 || d.before(time.Duration(namesKept+49).String()) != 1 {
		t.Error("it is not the oldest that went")
	}
}

func TestARoleIsASetOfScopes(t *testing.T) {
	for role, may := range map[string][]string{Viewer: {Read}, Operator: {Read, Resend, Replay}, Administrator: Scopes, "": nil, "root": nil} {
		p := &Principal{Scopes: ScopesOf(role)}
		for _, scope := range Scopes {
			want := false
			for _, m := range may {
				want = want || m == scope
			}
			if p.May(scope) != want {
				t.Errorf("%s may %s: %v", role, scope, !want)
			}
		}
	}
}
