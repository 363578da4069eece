package cdr

import (
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/topic"
)

// A queue call of 1.2 KB, all fields filled.
var typical = []byte(`{"CallId":"0b9d7c64-4f0e-4a0e-9d53-6f1f2f4ac0c1","ScenarioId":"7a1c2a60-09a7-4a1f-8f35-3c0c5d9dbb10","CallDirection":"Inbound","CallerName":"Dana Whitfield","CallerAdId":"3f0f6a52-6a55-4f12-9f1b-55a3a2f4f9aa","CallerUpn":"dana.whitfield@contoso.example","CallerNumber":"+15550100","StartDateTime":"2026-03-02T10:12:31.250Z","EndDateTime":"2026-03-02T10:15:04.875Z","CallLength":153,"WaitTime":21,"TalkTime":132,"QueueId":412,"QueueName":"Sales EMEA","ResourceAccountObjectId":"Null","OUPath":"Root/Sales/EMEA","ParentId":"5d3b6d3c-0f19-4a07-8c43-1d1c3a7be0a2","From":"Main menu","MetServiceLevel":"True","AgentName":"Noor Haddad","AgentUpn":"noor.haddad@contoso.example","AgentId":77,"AgentAdId":"b04d3f0c-6f3a-4c55-8a52-0a2f6f6d1f11","CallbackRequestId":null,"LeaveReason":"AgentAnswered","TransferType":"None","TransferToId":null,"TransferToName":null,"Notes":"` + strings.Repeat("x", 200) + `"}`)

func BenchmarkDecode(b *testing.B) {
	in := inputOf(topic.TypeQueue, typical)
	in.Headers = []Header{header(HeaderID, "id-1"), header(HeaderType, topic.TypeQueue), header(HeaderTime, "2026-03-02T10:15:04.875Z")}
	b.SetBytes(int64(len(typical)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeAMillionKeys(b *testing.B) {
	value := []byte(`{"CallId":"a"` + strings.Repeat(`,"k":1`, 1_000_000) + `}`)
	in := inputOf(topic.TypeQueue, value)
	in.MaxBytes = len(value)
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		if _, err := Decode(in); err != nil {
			b.Fatal(err)
		}
	}
}
