package simulate_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/simulate"
	"github.com/aftercall/aftercall/services/aftercall/internal/validate"
)

func TestEveryRecordIsValidAgainstItsSchemaAndTakenWithoutAWarning(t *testing.T) {
	g := simulate.NewGenerator(3, nil)
	ended := time.Date(2026, 3, 2, 10, 15, 4, 875e6, time.UTC)
	for _, variant := range simulate.Variants() {
		for range 12 {
			for _, record := range g.Of(variant, ended).Records() {
				value, err := json.Marshal(record)
				if err != nil {
					t.Fatal(err)
				}
				report, err := validate.Check(record.EventType(), value, 0)
				if err != nil || len(report.Findings) > 0 {
					t.Fatalf("%s: %v, %v", value, report.Findings, err)
				}
				got, err := cdr.Decode(cdr.Input{Topic: topic.CDRQueue, TypeOfTopic: record.EventType(), Value: value, Timestamp: ended})
				if err != nil || len(got.Warnings) != 0 || got.OUPath == "" || got.ScenarioID == "" {
					t.Fatalf("%s: %+v, %v", value, got, err)
				}
			}
		}
	}
}
