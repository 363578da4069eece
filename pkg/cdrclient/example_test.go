package cdrclient_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/aftercall/aftercall/pkg/cdrclient"
)

// Sends one typed CDR, and says which one was refused when one is.
func ExampleClient_Send() {
	client, err := cdrclient.New(cdrclient.Config{Brokers: []string{"127.0.0.1:8421"}, Source: "contoso/pbx"})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	start := time.Date(2026, 3, 2, 10, 12, 31, 0, time.UTC)
	err = client.Send(context.Background(), cdrclient.QueueCDR{
		CallId:        "8f3c",
		CallDirection: "Inbound",
		CallerNumber:  "+15550100",
		StartDateTime: cdrclient.At(start),
		EndDateTime:   cdrclient.At(start.Add(153 * time.Second)),
		CallLength:    cdrclient.Number(153),
		QueueName:     "Sales",
		OUPath:        "Root/Sales",
	})
	if failed, ok := errors.AsType[*cdrclient.SendError](err); ok {
		for _, f := range failed.Failures {
			log.Print(f)
		}
	}
}

// Shows why a value would be rejected, before sending it.
func ExampleValidate() {
	fmt.Println(cdrclient.Validate("App.QueueWebhook", []byte(`{"callId": "8f3c"}`)))
	fmt.Println(cdrclient.Validate("App.QueueWebhook", []byte(`{"CallId": 1.5}`)))
	fmt.Println(cdrclient.Validate("App.QueueWebhook", []byte(`{"CallId": "8f3c", "Brand": "kept"}`)))
	// Output:
	// call_id_missing (/CallId): there is no CallId
	// call_id_invalid (/CallId): CallId is a number with fraction or exponent; a string of 1 to 256 characters or an integer is needed
	// <nil>
}
