package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Option changes how Load works.
type Option func(*options)

type options struct{ environ []string }

// WithEnviron makes Load read these "NAME=value" pairs rather than the
// process's own.
func WithEnviron(environ []string) Option {
	return func(o *options) { o.environ = environ }
}

// Load fills cfg, a pointer to a struct whose fields carry `env:"NAME"` tags
// without the prefix (and envDefault, envSeparator … as caarlos0/env has them).
// Structs within it are filled too. A field that already holds a value keeps it
// unless its variable is set.
//
// A struct with a method Check() error is asked whether its values can be meant,
// once all could be read.
//
// Load reports everything that is wrong at once: unknown names, unreadable
// files, values that cannot be parsed; then what Check refuses.
func Load(cfg any, opts ...Option) error {
	o := options{environ: os.Environ()}
	for _, opt := range opts {
		opt(&o)
	}
	values, errs := resolve(env.ToMap(o.environ))
	fields := fieldsOf(cfg)
	for _, f := range fields {
		if _, ok := variable(f.name); !ok {
			errs = append(errs, fmt.Errorf("%s is read by %T but has no row in pkg/config/variables.go", f.name, cfg))
		}
	}
	err := env.ParseWithOptions(cfg, env.Options{
		Environment:                  values,
		Prefix:                       Prefix,
		SetDefaultsForZeroValuesOnly: true,
	})
	errs = append(errs, explain(err, fields, values)...)
	if len(errs) == 0 {
		errs = refusals(reflect.ValueOf(cfg))
	}
	if len(errs) > 0 {
		return fmt.Errorf("reading settings: %w", errors.Join(errs...))
	}
	return nil
}

// refusals are what the structs in v, and v, say against their values.
func refusals(v reflect.Value) []error {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	var errs []error
	if c, ok := v.Addr().Interface().(interface{ Check() error }); ok {
		if err := c.Check(); err != nil {
			errs = append(errs, err)
		}
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if key, _, _ := strings.Cut(f.Tag.Get("env"), ","); f.IsExported() && !f.Anonymous && key == "" && f.Type.Kind() == reflect.Struct {
			errs = append(errs, refusals(v.Field(i))...)
		}
	}
	return errs
}

// Between says that the number in a variable has to be from least to most.
func Between(name string, value, least, most int) error {
	if value < least || value > most {
		return fmt.Errorf("%s%s is %d: it is from %d to %d", Prefix, name, value, least, most)
	}
	return nil
}

// resolve keeps the variables that are Aftercall's, reads the files of the
// _FILE variants, and complains about names that nobody knows.
func resolve(environ map[string]string) (map[string]string, []error) {
	values := map[string]string{}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		if !strings.HasPrefix(name, Prefix) || exempt(name, environ[name]) {
			continue
		}
		if _, ok := variable(name); ok {
			values[name] = environ[name]
			continue
		}
		base, isFile := strings.CutSuffix(name, "_FILE")
		if _, ok := variable(base); !ok || !isFile {
			errs = append(errs, unknown(name))
			continue
		}
		if _, twice := environ[base]; twice {
			errs = append(errs, fmt.Errorf("%s and %s are both set: give one of them", base, name))
			continue
		}
		content, err := os.ReadFile(environ[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		values[base] = strings.TrimRight(string(content), "\r\n")
	}
	for name, value := range values {
		// The library takes an empty value for none at all, and so for the default.
		if v, _ := variable(name); value == "" && v.Empty != "" {
			values[name] = v.Empty
		}
	}
	return values, errs
}

// serviceLink matches what Kubernetes puts into every container for a Service
// called aftercall-…: AFTERCALL_ADMIN_SERVICE_HOST, AFTERCALL_ADMIN_PORT_80_TCP …
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// exempt names begin like ours and are no settings of services: they belong to
// the tests, to Kubernetes, or to the command line.
func exempt(name, value string) bool {
	return strings.HasPrefix(name, "AFTERCALL_TEST_") ||
		name == "AFTERCALL_REQUIRE_REAL" ||
		name == "AFTERCALL_API" || name == "AFTERCALL_TOKEN" || // the command line's way to the API
		serviceLink.MatchString(name) ||
		strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
}

func unknown(name string) error {
	base, isFile := strings.CutSuffix(name, "_FILE")
	best, distance := "", 1+max(2, len(base)/4)
	for _, v := range variables {
		if d := editDistance(base, v.Name); d < distance {
			best, distance = v.Name, d
		}
	}
	switch {
	case best == "":
		return fmt.Errorf("%s is not a setting that Aftercall knows; docs/configuration.md lists them all", name)
	case isFile:
		best += "_FILE"
	}
	return fmt.Errorf("%s is not a setting that Aftercall knows; did you mean %s?", name, best)
}

// explain turns the library's errors, which speak of fields, into ones that
// speak of variables and do not repeat a secret's value.
func explain(err error, fields []field, values map[string]string) []error {
	if err == nil {
		return nil
	}
	var all env.AggregateError
	if !errors.As(err, &all) {
		return []error{err}
	}
	var errs []error
	for _, err := range all.Errors {
		var parse env.ParseError
		if !errors.As(err, &parse) {
			errs = append(errs, err)
			continue
		}
		for _, f := range fields {
			if _, set := values[f.name]; f.goName != parse.Name || f.typ != parse.Type || !set {
				continue
			}
			if v, _ := variable(f.name); v.Mask == Shown {
				err = fmt.Errorf("%s: want %s: %w", f.name, kindOf(f.typ), parse.Err)
			} else {
				err = fmt.Errorf("%s: want %s, the value is something else", f.name, kindOf(f.typ))
			}
			break
		}
		errs = append(errs, err)
	}
	return errs
}

func kindOf(t reflect.Type) string {
	switch {
	case t.String() == "time.Duration":
		return "a duration such as 30s"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "a whole number"
	default:
		return t.String()
	}
}

// editDistance is the number of letters to add, drop or change (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
