package kafka

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Markers has a client that reads what is written in transactions see their markers,
// too. It knows the epoch of the leader from the last record that it keeps: of a
// partition whose last data is of an epoch, and the marker behind it of the next
// one, it would take it for lost records when the leader moves again. [Data] leaves
// them out.
func Markers() kgo.Opt { return kgo.KeepControlRecords() }

// Data are the records without the markers of transactions.
func Data(records []*kgo.Record) []*kgo.Record {
	return slices.DeleteFunc(records, func(r *kgo.Record) bool { return r.Attrs.IsControl() })
}
