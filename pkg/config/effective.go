package config

import (
	"os"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Origins of a setting.
const (
	FromDefault     = "default"
	FromEnvironment = "environment"
	FromFile        = "file"
	FromNowhere     = "not set"
)

// Effective is a setting as a service would run with it.
type Effective struct {
	Name string `json:"name"`
	// Value is masked as in Print.
	Value string `json:"value"`
	From  string `json:"from"`
	// File is the path that NAME_FILE gives.
	File string `json:"file,omitempty"`
}

// Effectives loads cfg and lists its settings in the order of its fields, with
// where each came from. They are listed as far as they could be read when there is
// an error too.
func Effectives(cfg any, opts ...Option) ([]Effective, error) {
	failed := Load(cfg, opts...)
	o := options{environ: os.Environ()}
	for _, opt := range opts {
		opt(&o)
	}
	environ := env.ToMap(o.environ)
	var all []Effective
	for _, f := range fieldsOf(cfg) {
		v, _ := variable(f.name)
		e := Effective{Name: f.name, Value: masked(v.Mask, text(f.value)), From: FromNowhere}
		path, inFile := environ[f.name+"_FILE"]
		_, own := variable(f.name + "_FILE")
		switch given, set := environ[f.name]; {
		// The library takes the default for an empty variable too.
		case set && (given != "" || f.fallback == "" || v.Empty != ""):
			e.From = FromEnvironment
		case inFile && !own:
			e.From, e.File = FromFile, path
		case f.fallback != "" || !f.value.IsZero():
			e.From = FromDefault
		}
		if f.required && e.From == FromNowhere && strings.TrimSpace(e.Value) == "" {
			e.Value = "(required)"
		}
		all = append(all, e)
	}
	return all, failed
}
