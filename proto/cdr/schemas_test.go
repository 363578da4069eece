package cdrschema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The complete property lists, typed out from the reference's documentation.
var reference = map[string]string{
	"App.QueueWebhook": `CallId ScenarioId CallDirection CallerName CallerAdId CallerUpn CallerNumber
		StartDateTime EndDateTime CallLength WaitTime TalkTime QueueId QueueName ResourceAccountObjectId OUPath
		ParentId From MetServiceLevel AgentName AgentUpn AgentId AgentAdId CallbackRequestId LeaveReason
		TransferType TransferToId TransferToName`,
	"App.IvrWebhook": `CallId ScenarioId CallDirection CallerName CallerAdId CallerUpn CallerNumber
		StartDateTime EndDateTime CallLength IvrId IvrName ResourceAccountObjectId OUPath ParentId From
		TransferType TrasnferToId TransferToName IvrInputs
		DataValue01 DataValue02 DataValue03 DataValue04 DataValue05 DataValue06 DataValue07 DataValue08 DataValue09 DataValue10
		DataValue11 DataValue12 DataValue13 DataValue14 DataValue15 DataValue16 DataValue17 DataValue18 DataValue19 DataValue20`,
	"App.AgentWebhook": `CallId ScenarioId CallDirection CallerName CallerAdId CallerUpn CallerNumber
		StartDateTime EndDateTime CallLength AgentName AgentUpn AgentId AgentAdId InteractionObjectId
		InteractionObjectName OUPath ParentId AverageSentimentScore CallState IsDirectCall WrapupTime WrapupData`,
	"App.RecordingWebhook": `CallId ScenarioId StartDateTime EndDateTime CallDirection CallLength CallerName
		CallerAdId CallerNumber CallerUpn CalleeName CalleeAdId CalleeUpn CalleeNumber OuPath RecordingFileName
		RecordingMode RecordedUserName RecordedUserUpn RecordedUserAdId Transcription`,
	"App.TestWebhook": `Message TestId SentBy SentAtUtc`,

	// Of our own.
	"Aftercall.EndpointFailing":   `SubscriptionId SubscriptionName SubscriptionVersion EndpointHost Reason Until At`,
	"Aftercall.EndpointRecovered": `SubscriptionId SubscriptionName SubscriptionVersion EndpointHost At`,
	"Aftercall.EndpointDisabled":  `SubscriptionId SubscriptionName SubscriptionVersion EndpointHost Reason At`,
	"Aftercall.DeliveryGivenUp": `SubscriptionId SubscriptionName SubscriptionVersion EndpointHost Reason
		DeliveryId EventId EventType CallId Cause Attempts LastStatus At`,
}

var referenceItems = map[string]string{
	"App.IvrWebhook/IvrInputs": `ID InputDateTime BlockName ParameterName ParameterValue BlockType
		DataValue01 DataValue02 DataValue03 DataValue04 DataValue05 DataValue06 DataValue07 DataValue08 DataValue09 DataValue10
		DataValue11 DataValue12 DataValue13 DataValue14 DataValue15 DataValue16 DataValue17 DataValue18 DataValue19 DataValue20`,
	"App.AgentWebhook/WrapupData":        `QuestionId Order Question Answer`,
	"App.RecordingWebhook/Transcription": `SentimentScore Phrase CreationTime`,
}

func namesOf(properties []Property) []string {
	var names []string
	for _, p := range properties {
		names = append(names, p.Name)
	}
	return names
}

func TestEachSchemaHasExactlyThePropertiesOfTheReference(t *testing.T) {
	if len(Types()) != len(reference) {
		t.Fatalf("%d types, want %d", len(Types()), len(reference))
	}
	for eventType, list := range reference {
		if got, want := namesOf(Properties(eventType)), strings.Fields(list); !slices.Equal(got, want) {
			t.Errorf("%s has\n%s\nwant\n%s", eventType, got, want)
		}
		for _, p := range Properties(eventType) {
			list, isList := referenceItems[eventType+"/"+p.Name]
			if !isList && len(p.Items) > 0 || isList && !slices.Equal(namesOf(p.Items), strings.Fields(list)) {
				t.Errorf("the elements of %s in %s have %s", p.Name, eventType, namesOf(p.Items))
			}
		}
	}
	if n := len(Properties("App.QueueWebhook")); n != 28 {
		t.Errorf("a queue call has %d properties, the reference says 28", n)
	}
}

func TestEachPropertyIsDescribedAndLoose(t *testing.T) {
	types := map[string][]string{
		"id": {"string", "integer", "null"}, "text": {"string", "null"}, "datetime": {"string", "null"},
		"duration": {"number", "string", "null"}, "score": {"number", "string", "null"}, "count": {"integer", "string", "null"},
		"flag": {"string", "boolean", "null"}, "value": {"string", "number", "boolean", "null"}, "list": {"array", "null"},
	}
	var check func(where string, properties []Property)
	check = func(where string, properties []Property) {
		for _, p := range properties {
			at := where + "/" + p.Name
			if p.Title == "" || p.Description == "" {
				t.Errorf("%s has no title or description", at)
			}
			want := types[p.Kind]
			if p.Name == "CallId" {
				want = []string{"string", "integer"}
			}
			if !slices.Equal(p.Types, want) {
				t.Errorf("%s of kind %q has the types %s, want %s", at, p.Kind, p.Types, want)
			}
			if len(p.Examples) == 0 && !strings.HasPrefix(p.Name, "DataValue") {
				t.Errorf("%s has no example", at)
			}
			check(at, p.Items)
		}
	}
	for _, eventType := range Types() {
		check(eventType, Properties(eventType))
	}
}

func TestPersonalDataIsMarked(t *testing.T) {
	for eventType, list := range map[string]string{
		"App.QueueWebhook": "/CallerName /CallerAdId /CallerUpn /CallerNumber /AgentName /AgentUpn /AgentAdId /TransferToId /TransferToName",
		"App.IvrWebhook": `/CallerName /CallerAdId /CallerUpn /CallerNumber /TrasnferToId /TransferToName /IvrInputs/*/ParameterValue
			/IvrInputs/*/DataValue01 /IvrInputs/*/DataValue20 /DataValue01 /DataValue20`,
		"App.AgentWebhook": "/CallerName /CallerAdId /CallerUpn /CallerNumber /AgentName /AgentUpn /AgentAdId /WrapupData/*/Answer",
		"App.RecordingWebhook": `/CallerName /CallerAdId /CallerNumber /CallerUpn /CalleeName /CalleeAdId /CalleeUpn /CalleeNumber
			/RecordingFileName /RecordedUserName /RecordedUserUpn /RecordedUserAdId /Transcription/*/Phrase`,
		"App.TestWebhook": "/SentBy",
	} {
		got := PersonalData(eventType)
		for _, want := range strings.Fields(list) {
			if !slices.Contains(got, want) {
				t.Errorf("%s: %s is not marked", eventType, want)
			}
		}
		for _, never := range []string{"/CallId", "/ScenarioId", "/QueueName", "/OUPath", "/OuPath", "/StartDateTime"} {
			if slices.Contains(got, never) {
				t.Errorf("%s: %s is marked", eventType, never)
			}
		}
	}
	if !Personal("CallerNumber") || !Personal("Phrase") || Personal("CallId") || Personal("QueueName") {
		t.Error("Personal disagrees with the marks")
	}
}

func compile(t *testing.T, eventType string) *jsonschema.Schema {
	text, ok := ByType(eventType)
	if !ok {
		t.Fatalf("no schema for %s", eventType)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(eventType, document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(eventType)
	if err != nil {
		t.Fatalf("compiling the schema of %s: %v", eventType, err)
	}
	return schema
}

func validate(t *testing.T, schema *jsonschema.Schema, text string) error {
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(instance)
}

func TestSamplesValidateAndShowTheExamples(t *testing.T) {
	for _, eventType := range Types() {
		sample, ok := Sample(eventType)
		if !ok {
			t.Fatalf("no sample of %s", eventType)
		}
		if err := validate(t, compile(t, eventType), string(sample)); err != nil {
			t.Errorf("the sample of %s: %v", eventType, err)
		}
		var members map[string]any
		if err := json.Unmarshal(sample, &members); err != nil {
			t.Fatal(err)
		}
		for _, p := range Properties(eventType) {
			if len(p.Examples) == 0 {
				continue
			}
			var want any
			if err := json.Unmarshal(p.Examples[0], &want); err != nil {
				t.Fatal(err)
			}
			got, there := members[p.Name]
			if !there || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: the sample's %s is %v, the schema's first example %v", eventType, p.Name, got, want)
			}
			delete(members, p.Name)
		}
		for name := range members {
			if !strings.HasPrefix(name, "DataValue") {
				t.Errorf("%s: the sample has %s without an example in the schema", eventType, name)
			}
		}
	}
}

func TestExamplesValidate(t *testing.T) {
	for _, eventType := range Types() {
		schema := compile(t, eventType)
		for _, p := range Properties(eventType) {
			for _, example := range p.Examples {
				text := fmt.Sprintf(`{"CallId":"a",%q:%s}`, p.Name, example)
				if err := validate(t, schema, text); err != nil {
					t.Errorf("%s %s: %v", eventType, p.Name, err)
				}
			}
		}
	}
}

func TestSchemasAcceptWhatTheReferenceLeavesOpen(t *testing.T) {
	for _, c := range []struct{ eventType, text string }{
		{"App.QueueWebhook", `{"CallId":1,"QueueId":"x","ParentId":7,"CallLength":"00:02:33","WaitTime":1.5,"TalkTime":null,"MetServiceLevel":true}`},
		{"App.QueueWebhook", `{"CallId":"a","MetServiceLevel":"False","StartDateTime":"02/03/2026 10:12","Brand":{"new":[]}}`},
		{"App.IvrWebhook", `{"CallId":"a","TrasnferToId":"x","DataValue07":"y","IvrInputs":[{"ID":"z","DataValue07":3}]}`},
		{"App.IvrWebhook", `{"CallId":"a","IvrInputs":null}`},
		{"App.AgentWebhook", `{"CallId":"a","AverageSentimentScore":"0.3","IsDirectCall":"True","WrapupData":[{"Order":"1"}]}`},
		{"App.RecordingWebhook", `{"CallId":"a","OuPath":"Root","Transcription":[]}`},
		{"App.TestWebhook", `{}`},
	} {
		if err := validate(t, compile(t, c.eventType), c.text); err != nil {
			t.Errorf("%s %s: %v", c.eventType, c.text, err)
		}
	}
}

func TestSchemasNameWhatDeviates(t *testing.T) {
	for _, c := range []struct{ eventType, text string }{
		{"App.QueueWebhook", `{}`},
		{"App.QueueWebhook", `{"CallId":""}`},
		{"App.QueueWebhook", `{"CallId":null}`},
		{"App.QueueWebhook", `{"CallId":"a","MetServiceLevel":"yes"}`},
		{"App.QueueWebhook", `{"CallId":"a","CallLength":[]}`},
		{"App.IvrWebhook", `{"CallId":"a","IvrInputs":[1]}`},
		{"App.AgentWebhook", `{"CallId":"a","WrapupData":{}}`},
	} {
		if err := validate(t, compile(t, c.eventType), c.text); err == nil {
			t.Errorf("%s accepts %s", c.eventType, c.text)
		}
	}
}
