package phone

import (
	"slices"
	"testing"
)

func TestEveryWayOfWritingANumberHasOneNormalForm(t *testing.T) {
	for _, text := range []string{
		"+12025550142", "12025550142", "0012025550142", "+1 202 555 0142", "+1 (202) 555-0142", "+1.202.555.0142", "tel:+1-202-555-0142", "TEL:+12025550142;ext=7",
		"sip:+12025550142@sbc.contoso.example:5061;transport=tls", "sips:12025550142@sbc", `"Dana" <sip:+12025550142@sbc>`, "tel:%2B12025550142", "\u202a+1 202 555 0142\u202c", "+１２０２５５５０１４２", "+1 (0)202 5550142",
	} {
		if got, ok := Normal(text); !ok || got != "12025550142" {
			t.Errorf("%q is %q, %v", text, got, ok)
		}
	}
	for text, want := range map[string]string{"sip:Dana@Fabrikam.example": "dana@fabrikam.example", "dana@fabrikam.example": "dana@fabrikam.example", "sip:dana@fabrikam.example:5060;user=x": "dana@fabrikam.example", "412": "412"} {
		if got, ok := Normal(text); !ok || got != want {
			t.Errorf("%q is %q, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "Null", "anonymous", "Sales EMEA", "12", "1234567890123456", "+", "@x", "x@", "a b@c"} {
		if got, ok := Normal(text); ok {
			t.Errorf("%q is taken for %q", text, got)
		}
	}
}

func TestANumberIsFoundWhereverItStandsInARecord(t *testing.T) {
	for _, record := range []string{
		`{"CallerNumber":"+1 202 555 0142"}`, `{"CallerNumber":12025550142}`, `{"CalleeNumber":"sip:+12025550142@sbc"}`, `{"TransferToName":"tel:+1-202-555-0142"}`,
		`{"Transcription":[{"Phrase":"ring me at +1 202-555-0142, after 5"}]}`, `{"Own":{"Deep":["x12025550142y"]}}`, `{"CallerNumber":"\u002B1\u0028202\u0029\u0020555-0142"}`,
		`{"CallId":"2026-11-24 12025550142"}`, `not json: 12025550142`, `{"CallerNumber":"1` + "\u00a0" + `2025550142"`, `{"12025550142":true}`, `{} +12025550142`,
	} {
		if !slices.Contains(InRecord([]byte(record)), "12025550142") {
			t.Errorf("not found in %s: %q", record, InRecord([]byte(record)))
		}
	}
	if got := InRecord([]byte(`{"CallerNumber":"Null","QueueId":412,"CallId":"5d3b6d3c-09a7","AgentId":77,"CallLength":153}`)); len(got) != 0 {
		t.Errorf("found %q", got)
	}
	// A short number counts only where a number is expected.
	if got := InRecord([]byte(`{"CallerNumber":"412","QueueId":"418"}`)); !slices.Equal(got, []string{"412"}) {
		t.Errorf("found %q", got)
	}
}

func FuzzInRecord(f *testing.F) {
	f.Add([]byte(`{"CallerNumber":"+1 202 555 0142","X":[1,{"a":null}]}`))
	f.Fuzz(func(t *testing.T, record []byte) {
		for _, n := range InRecord(record) {
			if again, ok := Normal(n); ok && again != n && n[0] != '0' {
				t.Errorf("%q is not its own normal form: %q", n, again)
			}
		}
	})
}
