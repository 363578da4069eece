package broker

import (
	"fmt"
	"maps"
	"slices"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/pkg/topic"
)

// further are the settings of a router that say where CDRs come from besides.
type further struct {
	Sources map[string]string `env:"SOURCES" envSeparator:"," envKeyValSeparator:"="`
}

// Check refuses sources as the router does.
func (f further) Check() error {
	if err := topic.CheckSources(f.Sources); err != nil {
		return fmt.Errorf("AFTERCALL_SOURCES: %w", err)
	}
	return nil
}

// Sources are the topics of AFTERCALL_SOURCES, by name.
func Sources() ([]string, error) {
	var f further
	if err := config.Load(&f); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(f.Sources)), nil
}
