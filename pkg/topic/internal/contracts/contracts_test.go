package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.yaml.in/yaml/v3"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
)

const root = "../../../.."

func TestTheCommittedFilesAreWhatWouldBeWritten(t *testing.T) {
	for _, d := range documents {
		before, err := os.ReadFile(filepath.Join(root, d.path))
		if err != nil {
			t.Fatal(err)
		}
		text, err := d.make(root, before)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(before, text) {
			t.Errorf("%s is out of date: make generate", d.path)
		}
	}
}

// document is AsyncAPI's as a validator takes it.
func document(t *testing.T) map[string]any {
	t.Helper()
	text, err := asyncAPI(root)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func validator(t *testing.T) *jsonschema.Schema {
	t.Helper()
	const path = "testdata/asyncapi/3.0.0.json"
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(path, text); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestTheAsyncAPIDocumentIsValid(t *testing.T) {
	schema, doc := validator(t), document(t)
	if err := schema.Validate(doc); err != nil {
		t.Fatal(err)
	}
	// That the validator looks at all: an action that does not exist.
	for _, o := range doc["operations"].(map[string]any) {
		o.(map[string]any)["action"] = "eat"
		break
	}
	var invalid *jsonschema.ValidationError
	if err := schema.Validate(doc); !errors.As(err, &invalid) {
		t.Errorf("with a wrong action: %v", err)
	}
}

func TestEveryReferenceOfTheAsyncAPIDocumentLeadsSomewhere(t *testing.T) {
	doc := document(t)
	found := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for k, e := range v {
				to, ok := e.(string)
				if k != "$ref" || !ok {
					walk(e)
					continue
				}
				found++
				if !leads(doc, to) {
					t.Errorf("%s leads nowhere", to)
				}
			}
		}
	}
	walk(doc)
	if found < 100 {
		t.Errorf("only %d references", found)
	}
}

func leads(doc any, to string) bool {
	path, ok := strings.CutPrefix(to, "#/")
	if !ok {
		_, err := os.Stat(filepath.Join(root, "proto", to))
		return err == nil
	}
	for step := range strings.SplitSeq(path, "/") {
		object, ok := doc.(map[string]any)
		if !ok {
			return false
		}
		if doc, ok = object[step]; !ok {
			return false
		}
	}
	return true
}

func TestEveryTopicIsDescribedWithItsRecordsAndTheirKind(t *testing.T) {
	for _, s := range topic.All() {
		if len(messagesOf(s.Name)) == 0 {
			t.Errorf("nothing is said about the records of %s", s.Name)
		}
	}
	for _, k := range kinds {
		m, err := record.Open(&kgo.Record{Headers: []kgo.RecordHeader{{Key: record.Header, Value: []byte(k.kind)}}})
		if err != nil {
			t.Errorf("%s: %v", k.kind, err)
			continue
		}
		d := m.ProtoReflect().Descriptor()
		if string(d.Name()) != k.message || !strings.HasSuffix(d.ParentFile().Path(), "/"+k.file+".proto") {
			t.Errorf("%s is %s of %s", k.kind, d.FullName(), d.ParentFile().Path())
		}
	}
}
