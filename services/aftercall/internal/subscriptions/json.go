package subscriptions

import (
	"bytes"
	"encoding/json"
)

// yamlOf makes valid JSON valid YAML without moving a line: YAML knows neither
// tabs before a value nor surrogate pairs in strings.
func yamlOf(text []byte) []byte {
	var out bytes.Buffer
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\t':
			out.WriteByte(' ')
		case '"':
			end := i + 1
			for text[end] != '"' {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			var s string
			_ = json.Unmarshal(text[i:end+1], &s) // the whole was valid
			e := json.NewEncoder(&out)
			e.SetEscapeHTML(false)
			_ = e.Encode(s)
			out.Truncate(out.Len() - 1)
			// A colon right behind a quoted key is one in YAML too.
			i = end
		default:
			out.WriteByte(text[i])
		}
	}
	return out.Bytes()
}
