// Command gen writes the typed CDRs of package cdrclient from the JSON Schemas of
// the event types:
//
//	go run ./internal/gen -schemas ../../proto/cdr/v1 -out types_gen.go
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	schemas := flag.String("schemas", "../../proto/cdr/v1", "folder of the schemas")
	out := flag.String("out", "types_gen.go", "file to write")
	flag.Parse()
	code, err := generate(*schemas)
	if err == nil {
		err = os.WriteFile(*out, code, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// files in the order of a call, with the name of the type.
var files = []struct{ file, goType string }{
	{"ivr", "IvrCDR"},
	{"queue", "QueueCDR"},
	{"agent", "AgentCDR"},
	{"recording", "RecordingCDR"},
	{"test", "TestCDR"},
}

// elements of lists, by the list's name.
var elements = map[string]string{
	"IvrInputs":     "IvrInput",
	"WrapupData":    "WrapupAnswer",
	"Transcription": "TranscribedPhrase",
}

// goTypes by kind. The zero value of each is left out of the JSON.
var goTypes = map[string]string{
	"id": "ID", "text": "string", "datetime": "DateTime", "flag": "Flag",
	"duration": "Value", "score": "Value", "count": "Value", "value": "Value",
}

type property struct {
	name, goType, description string
	personal                  bool
}

type element struct {
	goType, list, of string
	properties       []property
}

func generate(folder string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("// Code generated from the JSON Schemas of the event types by internal/gen; DO NOT EDIT.\n\npackage cdrclient\n")
	var lists []element
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(folder, f.file+".schema.json"))
		if err != nil {
			return nil, fmt.Errorf("reading schema: %w", err)
		}
		var schema struct {
			Title       string          `json:"title"`
			Description string          `json:"description"`
			Properties  json.RawMessage `json:"properties"`
		}
		if err := json.Unmarshal(text, &schema); err != nil {
			return nil, fmt.Errorf("parsing %s: %w", f.file, err)
		}
		properties, found, err := parse(schema.Properties, f.goType)
		if err != nil {
			return nil, fmt.Errorf("parsing %s: %w", f.file, err)
		}
		lists = append(lists, found...)
		fmt.Fprintf(&b, "\n// %s is the CDR of %s. %s\n", f.goType, schema.Title, schema.Description)
		write(&b, f.goType, properties)
		fmt.Fprintf(&b, "\n// EventType is %q.\nfunc (%s) EventType() string { return %q }\n", schema.Title, f.goType, schema.Title)
	}
	for _, l := range lists {
		fmt.Fprintf(&b, "\n// %s is one element of %s in a %s.\n", l.goType, l.list, l.of)
		write(&b, l.goType, l.properties)
	}
	return format.Source(b.Bytes())
}

func write(b *bytes.Buffer, goType string, properties []property) {
	fmt.Fprintf(b, "type %s struct {\n", goType)
	for _, p := range properties {
		for line := range strings.Lines(wrap(p.description)) {
			fmt.Fprintf(b, "// %s\n", strings.TrimSpace(line))
		}
		if p.personal {
			b.WriteString("// Personal data.\n")
		}
		fmt.Fprintf(b, "%s %s `json:\"%s,omitzero\"`\n", p.name, p.goType, p.name)
	}
	b.WriteString("}\n")
}

// parse reads properties in the order of the schema.
func parse(text []byte, of string) ([]property, []element, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return nil, nil, err
	}
	var (
		properties []property
		lists      []element
	)
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		name := token.(string)
		var p struct {
			Description string `json:"description"`
			Kind        string `json:"x-kind"`
			Personal    string `json:"x-personal-data"`
			Items       struct {
				Properties json.RawMessage `json:"properties"`
			} `json:"items"`
		}
		if err := d.Decode(&p); err != nil {
			return nil, nil, err
		}
		goType := goTypes[p.Kind]
		if p.Kind == "list" {
			item, ok := elements[name]
			if !ok {
				return nil, nil, fmt.Errorf("%s: no name for the type of its elements", name)
			}
			of, _, err := parse(p.Items.Properties, of)
			if err != nil {
				return nil, nil, err
			}
			lists = append(lists, element{goType: item, list: name, properties: of})
			goType = "[]" + item
		}
		if goType == "" {
			return nil, nil, fmt.Errorf("%s: unknown kind %q", name, p.Kind)
		}
		properties = append(properties, property{name, goType, p.Description, p.Personal != ""})
	}
	for i := range lists {
		lists[i].of = of
	}
	return properties, lists, nil
}

// wrap breaks a description into lines of a comment.
func wrap(s string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(s) {
		if column > 0 && column+1+len(word) > 72 {
			b.WriteByte('\n')
			column = 0
		} else if column > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
