package kafka_test

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
)

func TestAnErrorOfAWholeClientNamesNoPartition(t *testing.T) {
	cause := errors.New("unable to join group session")
	for _, e := range kgo.NewErrFetch(cause).Errors() {
		if err := kafka.Reading(e.Topic, e.Partition, e.Err); !errors.Is(err, cause) || err.Error() != "reading: "+e.Err.Error() {
			t.Error(err)
		}
	}
	if err := kafka.Reading("t", 3, cause); err.Error() != "reading t/3: unable to join group session" {
		t.Error(err)
	}
}
