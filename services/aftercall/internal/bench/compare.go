package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
)

func compareCommand() *cobra.Command {
	return &cobra.Command{
		Use: "compare BEFORE.json AFTER.json", Short: "Compare the results of two runs", Args: cobra.ExactArgs(2),
		Long: `Prints every figure of two results of aftercall bench --json and by how much it
changed. One run each says little on a busy machine: alternate, and compare
several.`,
		Example: `  aftercall bench --json before.json
  aftercall bench --json after.json
  aftercall bench compare before.json after.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var results [2]map[string]float64
			for i, path := range args {
				b, err := os.ReadFile(path)
				if err != nil {
					return fmt.Errorf("reading a result: %w", err)
				}
				var v any
				if err := json.Unmarshal(b, &v); err != nil {
					return fmt.Errorf("%s is no result of aftercall bench --json: %w", path, err)
				}
				results[i] = map[string]float64{}
				flatten(results[i], "", v)
			}
			return compare(cmd.OutOrStdout(), results[0], results[1])
		},
	}
}

// flatten notes every number of a result under its path; members of lists go by
// their Name.
func flatten(into map[string]float64, path string, v any) {
	switch v := v.(type) {
	case float64:
		into[path] = v
	case map[string]any:
		for name, member := range v {
			flatten(into, path+"/"+name, member)
		}
	case []any:
		for i, member := range v {
			name := strconv.Itoa(i)
			if m, ok := member.(map[string]any); ok {
				if s, ok := m["Name"].(string); ok {
					name = s
				}
			}
			flatten(into, path+"/"+name, member)
		}
	}
}

func compare(out io.Writer, before, after map[string]float64) error {
	for _, path := range slices.Sorted(maps.Keys(before)) {
		b := before[path]
		a, ok := after[path]
		if !ok || a == b {
			continue
		}
		change := ""
		if b != 0 {
			change = fmt.Sprintf("%+.0f%%", 100*(a-b)/b)
		}
		if _, err := fmt.Fprintf(out, "%-72s %16.6g %16.6g %8s\n", path, b, a, change); err != nil {
			return err
		}
	}
	return nil
}
