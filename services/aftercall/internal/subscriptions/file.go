package subscriptions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const maxFile = 8 << 20

// file is what was read: its subscriptions in order, and where they stand.
type file struct {
	name   string
	folder string // what references are relative to
	hooks  []located
}

// located is a subscription with its place in the file.
type located struct {
	hook
	node *yaml.Node
}

// fault is something wrong at a place in a file.
type fault struct {
	file, where, text string
	line              int
}

func (f fault) Error() string {
	place := f.file
	if f.line > 0 {
		place += ":" + strconv.Itoa(f.line)
	}
	if f.where != "" {
		return place + ": " + f.where + ": " + f.text
	}
	return place + ": " + f.text
}

// faults are all that is wrong, in the order of the file.
type faults []fault

func (f faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	slices.SortStableFunc(f, func(a, b fault) int { return a.line - b.line })
	return f
}

// read reads a file, "-" being in.
func read(path string, in io.Reader) (*file, error) {
	f := &file{name: path}
	if path == "-" {
		f.name = "standard input"
	} else {
		opened, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("reading the subscriptions: %w", err)
		}
		defer func() { _ = opened.Close() }()
		in, f.folder = opened, filepath.Dir(path)
	}
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the subscriptions: %w", err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d MiB", f.name, maxFile>>20)
	}
	return f, f.parse(text)
}

// shapes are the members that the mappings of a file have.
var (
	ofFile   = []string{"subscriptions"}
	ofHeader = []string{"name", "value", "secret", "value_file", "value_env"}
	ofHook   = []string{"name", "description", "endpoint", "active", "events", "ou_scope", "filter", "format", "timeout", "max_concurrency", "rate_limit", "schedule",
		"headers", "signing_secret_file", "signing_secret_env", "abp_secret_file", "abp_secret_env"}
)

// instead of members of the API that have no place in a file.
var instead = map[string]string{
	"signing_secret": "a secret does not belong in this file: say where it is, with signing_secret_file or signing_secret_env",
	"abp_secret":     "a secret does not belong in this file: say where it is, with abp_secret_file or abp_secret_env",
	"id":             "subscriptions are told apart by name: leave the id out",
	"paused_until":   "a pause is no part of what a subscription is: leave it out",
}

func (f *file) parse(text []byte) error {
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && json.Valid(text) {
		text = yamlOf(text)
	}
	var root yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return fault{file: f.name, text: "is empty: it looks like what aftercall subscriptions export prints"}
		}
		return f.unreadable(err)
	}
	if d.Decode(new(yaml.Node)) == nil {
		return fault{file: f.name, text: "holds more than one document"}
	}
	top := resolve(root.Content[0])
	var wrong faults
	list := top
	if top.Kind == yaml.MappingNode {
		wrong = f.unknown(wrong, top, ofFile, "")
		list = member(top, "subscriptions")
	}
	if list == nil || list.Kind != yaml.SequenceNode {
		return append(wrong, fault{file: f.name, line: top.Line, text: "has no list named subscriptions: it looks like what aftercall subscriptions export prints"}).err()
	}
	named := map[string]int{}
	for _, n := range list.Content {
		node := resolve(n)
		if node.Kind != yaml.MappingNode {
			wrong = append(wrong, fault{file: f.name, line: n.Line, text: "this is no subscription"})
			continue
		}
		where := "a subscription without a name"
		if name := member(node, "name"); name != nil && strings.TrimSpace(name.Value) != "" {
			where = strings.TrimSpace(name.Value)
			if first, twice := named[where]; twice {
				wrong = append(wrong, fault{file: f.name, line: name.Line, where: where, text: fmt.Sprintf("is in line %d already: names tell subscriptions apart", first)})
			}
			named[where] = name.Line
		} else {
			wrong = append(wrong, fault{file: f.name, line: n.Line, text: "a subscription needs a name here: it is told apart by it"})
		}
		wrong = f.unknown(wrong, node, ofHook, where)
		if headers := member(node, "headers"); headers != nil && headers.Kind == yaml.SequenceNode {
			for _, h := range headers.Content {
				wrong = f.unknown(wrong, resolve(h), ofHeader, where+", headers")
			}
		}
		one := located{node: node}
		if err := node.Decode(&one.hook); err != nil {
			wrong = append(wrong, f.typed(err, node, where)...)
			continue
		}
		one.Name = where
		wrong = append(wrong, f.misplaced(one)...)
		f.hooks = append(f.hooks, one)
	}
	return wrong.err()
}

// misplaced are secrets in the file, and references that contradict each other.
func (f *file) misplaced(one located) (wrong faults) {
	both := func(pointer, a, b, file, env string) {
		if a != "" && b != "" {
			wrong = append(wrong, f.at(one, pointer, fmt.Sprintf("%s and %s are both there: give one", file, env)))
		}
	}
	both("/signing_secret_file", one.SigningSecretFile, one.SigningSecretEnv, "signing_secret_file", "signing_secret_env")
	both("/abp_secret_file", one.AbpSecretFile, one.AbpSecretEnv, "abp_secret_file", "abp_secret_env")
	for i, h := range one.Headers {
		pointer := fmt.Sprintf("/headers/%d", i)
		both(pointer, h.ValueFile, h.ValueEnv, "value_file", "value_env")
		switch {
		case h.Value != "" && h.referenced():
			wrong = append(wrong, f.at(one, pointer, "the value is there twice: as itself, and by reference"))
		case h.Value != "" && h.Value != unchanged && h.secret():
			wrong = append(wrong, f.at(one, pointer+"/value", "the value of "+h.Name+" stands here for all to see: say secret: false, or say where it is, with value_file or value_env"))
		}
	}
	return wrong
}

// unknown are members of a mapping that it does not have.
func (f *file) unknown(wrong faults, node *yaml.Node, members []string, where string) faults {
	if node.Kind != yaml.MappingNode {
		return wrong
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Tag == "!!merge" {
			wrong = f.unknown(wrong, resolve(node.Content[i+1]), members, where)
			continue
		}
		if slices.Contains(members, key.Value) {
			continue
		}
		text := fmt.Sprintf("there is no field %.64q; fields are %s", key.Value, strings.Join(members, ", "))
		if better, known := instead[key.Value]; known && len(members) == len(ofHook) {
			text = better
		}
		wrong = append(wrong, fault{file: f.name, line: key.Line, where: where, text: text})
	}
	return wrong
}

// unreadable is text that is no YAML; the library says the line itself.
func (f *file) unreadable(err error) error {
	return fault{file: f.name, text: "is neither YAML nor JSON: " + strings.TrimPrefix(err.Error(), "yaml: ")}
}

// typed are values of another kind than their fields.
func (f *file) typed(err error, node *yaml.Node, where string) faults {
	var kinds *yaml.TypeError
	if !errors.As(err, &kinds) {
		return faults{{file: f.name, line: node.Line, where: where, text: strings.TrimPrefix(err.Error(), "yaml: ")}}
	}
	var wrong faults
	for _, text := range kinds.Errors {
		one := fault{file: f.name, line: node.Line, where: where, text: text}
		if rest, ok := strings.CutPrefix(text, "line "); ok {
			number, what, _ := strings.Cut(rest, ": ")
			if n, err := strconv.Atoi(number); err == nil {
				one.line, one.text = n, what
			}
		}
		one.text = strings.NewReplacer("cannot unmarshal ", "this is ", "!!seq", "a list", "!!map", "a mapping", "!!str", "text", "!!int", "a number", "!!float", "a number",
			"!!bool", "true or false", " into []string", ", a list of texts is wanted", " into string", ", text is wanted", " into int", ", a whole number is wanted",
			" into float64", ", a number is wanted", " into bool", ", true or false is wanted", " into []subscriptions.header", ", a list of headers is wanted",
			" into subscriptions.header", ", a header with name and value is wanted").Replace(one.text)
		wrong = append(wrong, one)
	}
	return wrong
}

// at is a fault at the place that a JSON pointer names, or the nearest above it.
func (f *file) at(one located, pointer, text string) fault {
	node := one.node
	line := node.Line
	steps := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for _, step := range steps {
		next, key := child(node, step)
		if next == nil {
			break
		}
		line, node = key.Line, next
	}
	where := one.Name
	if field := strings.Join(steps, "/"); field != "" {
		where += ": " + field
	}
	return fault{file: f.name, line: line, where: where, text: text}
}

// child is a member or an item of a node, and the node that stands where it begins.
func child(node *yaml.Node, step string) (value, place *yaml.Node) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			if key.Value == step || key.Value == step+"_file" || key.Value == step+"_env" {
				return resolve(node.Content[i+1]), key
			}
		}
	case yaml.SequenceNode:
		if n, err := strconv.Atoi(step); err == nil && n >= 0 && n < len(node.Content) {
			return resolve(node.Content[n]), node.Content[n]
		}
	}
	return nil, nil
}

// member is a mapping's value of that name, nil when there is none.
func member(node *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return resolve(node.Content[i+1])
		}
	}
	return nil
}

func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
