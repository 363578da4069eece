package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// object is a YAML mapping that keeps its order.
type object struct{ node *yaml.Node }

func newObject() object { return object{&yaml.Node{Kind: yaml.MappingNode}} }

// with adds a key, and answers the object itself.
func (o object) with(key string, value any) object {
	o.node.Content = append(o.node.Content, scalar(key), nodeOf(value))
	return o
}

func ref(to string) object { return newObject().with("$ref", to) }

func scalar(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

func nodeOf(value any) *yaml.Node {
	switch v := value.(type) {
	case object:
		return v.node
	case string:
		return scalar(v)
	case int64:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(v, 10)}
	case []object:
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for _, o := range v {
			list.Content = append(list.Content, o.node)
		}
		return list
	case []string:
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, s := range v {
			list.Content = append(list.Content, scalar(s))
		}
		return list
	case json.RawMessage:
		// JSON is YAML: its order and its numbers stay.
		var doc yaml.Node
		if err := yaml.Unmarshal(v, &doc); err != nil {
			panic(fmt.Sprintf("contracts: JSON that is no YAML: %v", err))
		}
		plain(doc.Content[0])
		return doc.Content[0]
	}
	panic(fmt.Sprintf("contracts: no YAML for %T", value))
}

// plain takes the JSON's braces and quotes away, where YAML can do without.
func plain(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		*n = *scalar(n.Value)
	}
	for _, c := range n.Content {
		plain(c)
	}
}

// bytes is the document, after a line that says where it is from.
func (o object) bytes(head string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(head)
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(o.node); err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	return b.Bytes(), nil
}
