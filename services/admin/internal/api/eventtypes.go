package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	cdrschema "github.com/aftercall/aftercall/proto/cdr"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

// EventType is what a webhook can ask for.
type EventType struct {
	Name   string `json:"name" example:"App.QueueWebhook"`
	Schema any    `json:"schema" doc:"JSON Schema 2020-12 of its payload."`
	Sample any    `json:"sample" doc:"A realistic payload."`
}

func rawJSON(b []byte) any { return json.RawMessage(b) }

func (a *API) eventTypes() {
	route(a, access.Read, huma.Operation{OperationID: "listEventTypes", Method: http.MethodGet, Path: "/event-types", Summary: "Event types with schemas and samples", Tags: []string{"Event types"}},
		func(context.Context, *struct{}) (*struct{ Body List[EventType] }, error) {
			out := List[EventType]{Items: []EventType{}}
			for _, name := range webhooks.Types {
				schema, _ := cdrschema.ByType(name)
				sample, _ := cdrschema.Sample(name)
				out.Items = append(out.Items, EventType{Name: name, Schema: rawJSON(schema), Sample: rawJSON(sample)})
			}
			return &struct{ Body List[EventType] }{out}, nil
		})
}
