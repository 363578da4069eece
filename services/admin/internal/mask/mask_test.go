package mask_test

import (
	"errors"
	"strings"
	"testing"

	cdrschema "github.com/aftercall/aftercall/proto/cdr"
	"github.com/aftercall/aftercall/services/admin/internal/mask"
)

func TestPersonalDataIsMaskedAtAnyDepthAndTheRestStaysInOrder(t *testing.T) {
	text, masked, err := mask.Payload([]byte(`{"CallId":"c-1","CallerNumber":"+14255550100","QueueName":"Sales <1>","IvrInputs":[{"ParameterName":"n","ParameterValue":"4111"}],"CallerName":null,"X":{"CallerUpn":["a@b","c@d"]}}`))
	if err != nil || !masked {
		t.Fatal(masked, err)
	}
	for _, secret := range []string{"+14255550100", "4111", "a@b", "c@d"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("%s is not masked in %s", secret, text)
		}
	}
	for _, plain := range []string{`"CallId": "c-1"`, `"QueueName": "Sales <1>"`, `"CallerName": null`} {
		if !strings.Contains(string(text), plain) {
			t.Errorf("%s is not in %s", plain, text)
		}
	}
	if strings.Index(string(text), "CallId") > strings.Index(string(text), "QueueName") {
		t.Error("the order has changed")
	}
}

// Whatever a schema marks, in any sample, is hidden.
func TestNoMarkedValueOfASampleIsShown(t *testing.T) {
	for _, eventType := range cdrschema.Types() {
		sample, _ := cdrschema.Sample(eventType)
		_, masked, err := mask.Payload(sample)
		if err != nil {
			t.Errorf("%s: %v", eventType, err)
		}
		if marked := len(cdrschema.PersonalData(eventType)) > 0; masked != marked {
			t.Errorf("%s is masked: %t, has personal data: %t", eventType, masked, marked)
		}
	}
}

func TestAPayloadNestedTooDeeplyIsNotShown(t *testing.T) {
	if _, _, err := mask.Payload([]byte(strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000))); !errors.Is(err, mask.ErrTooDeep) {
		t.Error(err)
	}
}
