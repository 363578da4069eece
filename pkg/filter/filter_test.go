package filter

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

const queue = `{"CallId":"8f3c2a41","QueueName":"Sales","TalkTime":61,"WaitTime":"12.5","CallLength":null,"CallerName":"Zoë","MetServiceLevel":"True",
 "AgentName":null,"Big":1e400,"IvrInputs":[{"ParameterName":"Product","ParameterValue":"3"},{"ParameterName":"Lang"}],
 "Transcription":[{"Phrase":"I want a refund","SentimentScore":"-0.5"}],"Nested":{"A":{"B":2}}}`

var envelope = Envelope{
	Type: "App.QueueWebhook", CallID: "8f3c2a41", ScenarioID: "s-1", OUPath: "Root/Sales", Source: "pbx", Tenant: "default",
	OccurredAt: time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC),
}

func compile(t testing.TB, text string) *Filter {
	t.Helper()
	f, err := Compile(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

func TestWhatFiltersSay(t *testing.T) {
	for text, want := range map[string]bool{
		`cdr.QueueName == "Sales" && cdr.TalkTime > 60`:         true,
		`cdr.QueueName == "Sales" && cdr.TalkTime > 61`:         false,
		`cdr.QueueName == 'Support'`:                            false,
		`cdr["QueueName"] == "Sales"`:                           true,
		`cdr.QueueName in ["Support", "Sales"]`:                 true,
		`event.type == "App.QueueWebhook"`:                      true,
		`event.ou_path.startsWith("Root/")`:                     true,
		`event.parent_id == ""`:                                 true,
		`event.occurred_at.getHours() == 12`:                    true,
		`event.occurred_at.getHours("Europe/Berlin") == 13`:     true,
		`event.occurred_at > timestamp("2026-01-01T00:00:00Z")`: true,
		`event.tenant == "default" || cdr.Nothing > 1`:          true,
		`true`: true,
		// Numbers: with integers and decimals, as number or text.
		`cdr.TalkTime == 61`:                      true,
		`61 == cdr.TalkTime`:                      true,
		`cdr.TalkTime >= 61.0`:                    true,
		`60 < cdr.TalkTime`:                       true,
		`cdr.WaitTime > 12`:                       true,
		`cdr.WaitTime < 12.6`:                     true,
		`cdr.WaitTime + cdr.TalkTime == 73.5`:     true,
		`cdr.TalkTime / 60.0 > 1.0`:               true,
		`cdr.Big > 9007199254740993`:              true,
		`cdr.Nested.A.B == 2`:                     true,
		`cdr.TalkTime in [60, 61]`:                true,
		`-cdr.TalkTime < -60`:                     true,
		`cdr.Transcription[0].SentimentScore < 0`: true,
		// Flags.
		`cdr.MetServiceLevel == true`:              true,
		`cdr.MetServiceLevel && cdr.TalkTime > 60`: true,
		`!cdr.MetServiceLevel`:                     false,
		// Missing and null are the same, and equal nothing.
		`cdr.Nothing == "x"`:                             false,
		`cdr.Nothing != "x"`:                             true,
		`cdr.Nothing == null`:                            true,
		`cdr.AgentName == null`:                          true,
		`has(cdr.Nothing)`:                               false,
		`has(cdr.AgentName)`:                             false,
		`has(cdr.QueueName)`:                             true,
		`has(cdr.Nested.X)`:                              false,
		`has(cdr.Nothing) && cdr.Nothing > 60`:           false,
		`cdr.QueueName == "Support" && cdr.Nothing > 60`: false,
		`"QueueName" in cdr`:                             true,
		`"Nothing" in cdr`:                               false,
		`cdr.IvrInputs[1].ParameterValue == "3"`:         false,
		// Lists.
		`cdr.IvrInputs.exists(i, i.ParameterName == "Product" && i.ParameterValue == "3")`: true,
		`cdr.IvrInputs.all(i, has(i.ParameterValue))`:                                      false,
		`cdr.IvrInputs.size() == 2`:                                                        true,
		`cdr.IvrInputs.filter(i, has(i.ParameterValue)).size() == 1`:                       true,
		`cdr.Transcription.exists(t, t.Phrase.contains("refund"))`:                         true,
		// Texts.
		`cdr.CallerName.matches("^Z.ë$")`: true,
		`size(cdr.CallerName) == 3`:       true,
		`string(cdr.TalkTime) == "61"`:    true,
	} {
		got, err := compile(t, text).Match(NewInput([]byte(queue), envelope))
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestWhatCannotBeEvaluatedIsAnErrorAndNotAMatch(t *testing.T) {
	for text, want := range map[string]string{
		`cdr.Nothing > 60`:                               "has()",
		`cdr.AgentName.startsWith("Z")`:                  "has()",
		`cdr.QueueName > 60`:                             "another type",
		`cdr.Nothing.More == 1`:                          "has()",
		`cdr.IvrInputs[9].ParameterName == "x"`:          "no element",
		`cdr.Nothing.exists(i, true)`:                    "missing",
		`int(cdr.CallerName) == 1`:                       "conversion",
		`timestamp(cdr.CallerName) > event.occurred_at`:  "conversion",
		`int(cdr.Big) == 1`:                              "out of range",
		`cdr.QueueName && true`:                          "another type",
		`event.occurred_at.getHours("Nowhere/X") == 1`:   "failed",
		`event.occurred_at.getHours("../../etc/x") == 1`: "failed",
	} {
		got, err := compile(t, text).Match(NewInput([]byte(queue), envelope))
		var e *Error
		if got || !errors.As(err, &e) || !strings.Contains(e.Message, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		for _, value := range []string{"Zoë", "Sales", "8f3c2a41"} {
			if err != nil && strings.Contains(err.Error(), value) {
				t.Errorf("%s: the error quotes the record: %v", text, err)
			}
		}
	}
}

func TestAnErrorPointsIntoTheExpression(t *testing.T) {
	for text, want := range map[string]struct {
		line, column int
		message      string
	}{
		`cdr.QueueName = "Sales"`:                              {1, 15, "write =="},
		`cdr.QueueName == "Sales`:                              {1, 18, "Syntax error"},
		`cdr.QueueName == Sales`:                               {1, 18, "Sales is not known here"},
		`QueueName == "Sales"`:                                 {1, 1, "cdr."},
		"cdr.TalkTime > 60 &&\n  event.typ == \"x\"":           {2, 8, "event has no such field"},
		`cdr.QueueName`:                                        {1, 4, "true or false"},
		`"Sales"`:                                              {1, 1, "true or false"},
		`cdr.TalkTime + 60`:                                    {1, 14, "true or false"},
		`cdr.TalkTime / 60 > 2`:                                {1, 16, "60.0"},
		`60 * cdr.TalkTime > 2`:                                {1, 1, "60.0"},
		`cdr.TalkTime == "61"`:                                 {1, 17, "61 without quotes"},
		`"True" != cdr["IsDirectCall"]`:                        {1, 1, "true without quotes"},
		`event.type > 3`:                                       {1, 12, "does not work with (string, int)"},
		`event.type.matches(cdr.QueueName)`:                    {1, 23, "has to stand in the filter"},
		`cdr.CallerName.matches("(")`:                          {1, 24, "missing closing"},
		`cdr.CallerName.matches("((a{1,100}){1,100}){1,100}")`: {1, 24, ""},
		`has(cdr)`:                                             {1, 5, "has() around a field"},
		`has(event.type)`:                                      {1, 10, "always there"},
		`cdr.A.all(a, a.all(b, b.all(c, true)))`:               {1, 28, "nest"},
		`duration("x") == duration("1s")`:                      {1, 10, ""},
		``:                                                     {1, 1, "empty"},
		"  \n ":                                                {1, 1, "empty"},
		"\xff":                                                 {1, 1, "UTF-8"},
		strings.Repeat(" ", MaxText) + "true":                  {1, 1, "4100 bytes"},
		strings.Repeat("(", 2000) + "true" + strings.Repeat(")", 2000): {0, 0, ""},
		`a.b.c.d()`:                 {0, 0, ""},
		`now() > event.occurred_at`: {1, 4, "now"},
	} {
		_, err := Compile(text)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%.40q compiles", text)
			continue
		}
		if want.line != 0 && (e.Line != want.line || e.Column != want.column) || !strings.Contains(e.Message, want.message) {
			t.Errorf("%.40q: %v, want %d:%d %s", text, err, want.line, want.column, want.message)
		}
		if len(e.Message) > 260 || strings.Contains(e.Message, "ERROR") || strings.Contains(e.Message, "\n") {
			t.Errorf("%.40q: not a message for people: %q", text, e.Message)
		}
	}
}

func TestAnErrorShowsThePlace(t *testing.T) {
	_, err := Compile(`cdr.QueueName == Sales`)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if got, want := e.Pointed(), "cdr.QueueName == Sales\n                 ^"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	_, err = Compile(strings.Repeat("true && ", 100) + "Sales && " + strings.Repeat("true && ", 100) + "true")
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	line, caret, _ := strings.Cut(e.Pointed(), "\n")
	if at := strings.Index(caret, "^"); at < 0 || !strings.HasPrefix(line[at:], "Sales") || len(line) > maxPointed {
		t.Errorf("got\n%s", e.Pointed())
	}
}

// Whatever is written stops within a bounded time, on the largest record.
func TestAFilterCannotRunForLong(t *testing.T) {
	var list, nested strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&list, `"%d",`, i)
	}
	for i := range 5_000 {
		fmt.Fprintf(&nested, `{"A":[%d,{"B":"x"}]},`, i)
	}
	big := fmt.Sprintf(`{"S":"%s","L":[%s0],"M":[%s{}]}`, strings.Repeat("a", 300_000), list.String(), nested.String())
	for _, text := range []string{
		`cdr.L.all(a, cdr.L.all(b, a == b || true))`,
		`cdr.L.exists(a, a in cdr.L && false)`,
		`cdr.M.exists(m, m == cdr.M)`,
		`cdr.M.all(m, cdr == cdr)`,
		`cdr.M.all(m, cdr.M.filter(n, n == m).size() >= 0)`,
		`cdr.L.map(a, cdr.L).size() > 0 && cdr.L.all(a, cdr.L.map(b, cdr.L).size() > 0)`,
		`cdr.L.all(a, cdr.S.matches("(a|aa)*(b|bb)*c$") || true)`,
		`cdr.L.all(a, cdr.S.contains("aaaaaaaaaaaaaaaaaaaaaaaaab") || true)`,
		`cdr.L.all(a, event.occurred_at.getHours("Europe/Berlin") < 99)`,
		`size(` + strings.Repeat(`cdr.S+`, 90) + `cdr.S) > 0`,
		`cdr.L.all(a, size(cdr.S + cdr.S) > 0)`,
		`cdr.L.all(a, size(cdr.S) > 0)`,
		`cdr.L.all(a, bytes(cdr.S) == b"" || true)`,
		`cdr.L.all(a, string(cdr.S) < cdr.S + "a")`,
		`cdr.L.all(a, cdr.S == cdr.S)`,
		`cdr.L.all(a, cdr.L + cdr.L != a)`,
		`cdr.L.map(a, [cdr.S + a]).size() > 0`,
		`cdr.L.all(a, {"x": cdr}.x == {"x": cdr}.x)`,
		`cdr.L.all(a, cdr.S in [cdr.S + "a"] || true)`,
		`cdr.L.all(a, timestamp(cdr.S) > timestamp(cdr.S) || true)`,
		`size([cdr.S,cdr.S].map(a, [a+a,a+a].map(b, b+b+b+b))) > 0`,
	} {
		f := compile(t, text)
		in := NewInput([]byte(big), envelope)
		in.decoded()
		began := time.Now()
		_, err := f.Match(in)
		took := time.Since(began)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%.60s: ended by itself: %v", text, err)
		} else if !strings.Contains(e.Message, "stopped") {
			t.Errorf("%.60s: %v", text, err)
		}
		// Slow machines, race detector: the bound is the order of magnitude.
		if took > time.Minute {
			t.Errorf("%.60s: took %v", text, took)
		}
	}
}

func TestARecordIsDecodedOnceAndOnlyWhenAFilterAsks(t *testing.T) {
	in := NewInput([]byte(queue), envelope)
	if ok, err := compile(t, `event.type == "App.QueueWebhook"`).Match(in); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if in.record != nil {
		t.Error("decoded for a filter that does not look at it")
	}
	f := compile(t, `cdr.TalkTime > 60`)
	if ok, err := f.Match(in); !ok || err != nil {
		t.Fatal(ok, err)
	}
	first := in.record
	if ok, err := f.Match(in); !ok || err != nil || in.record != first {
		t.Error("decoded twice")
	}
}

func TestARecordThatCannotBeDecodedIsAnError(t *testing.T) {
	deep := `{"A":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`
	in := NewInput([]byte(deep), envelope)
	for _, text := range []string{`cdr.QueueName == "Sales"`, `cdr.QueueName != "Sales"`, `has(cdr.A)`} {
		if ok, err := compile(t, text).Match(in); ok || err == nil || !strings.Contains(err.Error(), "deep") {
			t.Errorf("%s: %v, %v", text, ok, err)
		}
	}
	if ok, err := compile(t, `event.tenant == "default"`).Match(NewInput([]byte(deep), envelope)); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestAFilterServesManyAtOnce(t *testing.T) {
	f := compile(t, `cdr.QueueName == "Sales" && cdr.IvrInputs.exists(i, i.ParameterName == "Lang")`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if ok, err := f.Match(NewInput([]byte(queue), envelope)); !ok || err != nil {
					t.Errorf("%v, %v", ok, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func FuzzFilter(f *testing.F) {
	for _, text := range []string{
		`cdr.QueueName == "Sales" && cdr.TalkTime > 60`, `has(cdr.A) || cdr.L.exists(i, i.B == 1)`, `event.type in ["a"]`,
		`cdr.A / 2 > 1`, `cdr[`, `"\u0000" + b"x"`, `cdr.map(k, cdr[k]).size() > 0`, `{1: cdr}[1] == cdr`, `type(cdr) == map`, `dyn(1) + 1 == 2`,
		`cdr.A.B.C ? true : false`, "//\n true", `timestamp(cdr.T).getHours(cdr.Z) == 1`, `cdr.L[cdr.I] == 1`,
	} {
		f.Add(text, queue)
	}
	f.Fuzz(func(t *testing.T, text, payload string) {
		filter, err := Compile(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Message == "" || e.Line < 0 || e.Column < 0 {
				t.Fatalf("%q: %v", text, err)
			}
			_ = e.Pointed()
			return
		}
		began := time.Now()
		ok, err := filter.Match(NewInput([]byte(payload), envelope))
		if took := time.Since(began); took > time.Minute {
			t.Fatalf("%q took %v", text, took)
		}
		if ok && err != nil {
			t.Fatalf("%q matches with %v", text, err)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	payload := []byte(strings.Replace(queue, `"Zoë"`, `"`+strings.Repeat("lorem ipsum ", 80)+`"`, 1))
	for name, text := range map[string]string{
		"envelope": `event.type == "App.QueueWebhook"`,
		"two":      `cdr.QueueName == "Sales" && cdr.TalkTime > 60`,
		"list":     `cdr.IvrInputs.exists(i, i.ParameterName == "Product" && i.ParameterValue == "3")`,
		"regex":    `cdr.QueueName.matches("^(Sales|Support)")`,
	} {
		f := compile(b, text)
		b.Run(name+", decoded before", func(b *testing.B) {
			in := NewInput(payload, envelope)
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := f.Match(in); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
	f := compile(b, `cdr.QueueName == "Sales" && cdr.TalkTime > 60`)
	b.Run("two, decoding", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if ok, err := f.Match(NewInput(payload, envelope)); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		compile(b, `cdr.QueueName == "Sales" && cdr.TalkTime > 60`)
	}
}
