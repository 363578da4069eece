package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// field is a setting as the program sees it.
type field struct {
	name     string // of the variable, with the prefix
	goName   string // of the struct's field
	typ      reflect.Type
	fallback string // the default in its tag
	required bool
	value    reflect.Value
}

// fieldsOf lists the settings in a struct, or a pointer to one, in their order.
func fieldsOf(cfg any) []field {
	v := reflect.ValueOf(cfg)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil // env.Parse explains that one.
	}
	return appendFields(nil, v, Prefix)
}

func appendFields(fields []field, v reflect.Value, prefix string) []field {
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		if !sf.IsExported() {
			continue
		}
		key, opts, _ := strings.Cut(sf.Tag.Get("env"), ",")
		switch {
		case key == "-":
		case key != "":
			fields = append(fields, field{
				name: prefix + key, goName: sf.Name, typ: sf.Type, value: v.Field(i),
				fallback: sf.Tag.Get("envDefault"),
				required: slices.Contains(strings.Split(opts, ","), "required") || slices.Contains(strings.Split(opts, ","), "notEmpty"),
			})
		case sf.Type.Kind() == reflect.Struct:
			fields = appendFields(fields, v.Field(i), prefix+sf.Tag.Get("envPrefix"))
		}
	}
	return fields
}

// text is a value as it would stand in the variable.
func text(v reflect.Value) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if b, err := m.MarshalText(); err == nil {
			return string(b)
		}
	}
	if s, ok := v.Interface().(fmt.Stringer); ok {
		return s.String()
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
			return string(v.Bytes())
		}
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = text(v.Index(i))
		}
		return strings.Join(parts, ",")
	case reflect.Map:
		var parts []string
		for it := v.MapRange(); it.Next(); {
			parts = append(parts, text(it.Key())+"="+text(it.Value()))
		}
		slices.Sort(parts)
		return strings.Join(parts, ",")
	default:
		return fmt.Sprint(v.Interface())
	}
}
