package importer

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxFile bounds an export: a thousand times what a large installation has.
const maxFile = 64 << 20

// row is one row of AbpWebhookSubscriptions: columns by their names in lower
// case. A column that is null is not in it.
type row map[string]string

// columns that every row needs, as the table calls them.
var columns = []string{"Id", "WebhookUri", "Secret", "Webhooks"}

func (r row) column(name string) string { return strings.TrimSpace(r[strings.ToLower(name)]) }

// parse reads an export: JSON (a list of objects, or an object around one) or CSV
// with a header line (commas, semicolons or tabs), in UTF-8 or UTF-16.
func parse(data []byte) ([]row, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("the file has more than %d MiB", maxFile>>20)
	}
	text, err := utf8Of(data)
	if err != nil {
		return nil, err
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, errors.New("the file is empty")
	}
	read := parseCSV
	if text[0] == '[' || text[0] == '{' {
		read = parseJSON
	}
	rows, err := read(text)
	if err != nil {
		return nil, err
	}
	for i, r := range rows {
		for _, name := range columns {
			if _, ok := r[strings.ToLower(name)]; !ok {
				return nil, fmt.Errorf("row %d has no %s: is this an export of AbpWebhookSubscriptions?", i+1, name)
			}
		}
	}
	return rows, nil
}

func utf8Of(data []byte) ([]byte, error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xEF, 0xBB, 0xBF}):
		data = data[3:]
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		order = binary.BigEndian
	}
	if order != nil {
		units := make([]uint16, 0, len(data)/2)
		for i := 2; i+1 < len(data); i += 2 {
			units = append(units, order.Uint16(data[i:]))
		}
		data = []byte(string(utf16.Decode(units)))
	}
	if !utf8.Valid(data) {
		return nil, errors.New("the file is neither UTF-8 nor UTF-16: export it as UTF-8")
	}
	return data, nil
}

// parseJSON never quotes the file in its errors: it holds secrets.
func parseJSON(text []byte) ([]row, error) {
	var objects []map[string]json.RawMessage
	if text[0] == '{' {
		var around map[string]json.RawMessage
		if err := json.Unmarshal(text, &around); err != nil {
			return nil, errors.New("the file is not valid JSON")
		}
		var lists []json.RawMessage
		for _, v := range around {
			if len(v) > 0 && v[0] == '[' {
				lists = append(lists, v)
			}
		}
		if len(lists) != 1 {
			return nil, errors.New("the file is a JSON object without one list of rows in it")
		}
		text = lists[0]
	}
	if err := json.Unmarshal(text, &objects); err != nil {
		return nil, errors.New("the file is not a JSON list of rows")
	}
	rows := make([]row, len(objects))
	for i, o := range objects {
		rows[i] = row{}
		for name, value := range o {
			if string(value) == "null" {
				continue
			}
			var s string
			if json.Unmarshal(value, &s) != nil {
				s = string(value) // a number, a flag, a list or an object as it is
			}
			rows[i][strings.ToLower(name)] = s
		}
		for _, name := range columns {
			if _, ok := rows[i][strings.ToLower(name)]; !ok && hasFold(o, name) {
				rows[i][strings.ToLower(name)] = ""
			}
		}
	}
	return rows, nil
}

func hasFold(o map[string]json.RawMessage, name string) bool {
	for n := range o {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func parseCSV(text []byte) ([]row, error) {
	head, _, _ := bytes.Cut(text, []byte("\n"))
	reader := csv.NewReader(bytes.NewReader(text))
	for _, comma := range []rune{';', '\t'} {
		if strings.Count(string(head), string(comma)) > strings.Count(string(head), string(reader.Comma)) {
			reader.Comma = comma
		}
	}
	records, err := reader.ReadAll()
	if err != nil {
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			return nil, fmt.Errorf("line %d of the CSV cannot be read: %w; values with quotes or line breaks stand in quotes, quotes in them doubled", wrong.Line, wrong.Err)
		}
		return nil, fmt.Errorf("reading the CSV: %w", err)
	}
	names := make([]string, len(records[0]))
	for i, n := range records[0] {
		names[i] = strings.ToLower(strings.TrimSpace(n))
	}
	rows := make([]row, 0, len(records)-1)
	for _, record := range records[1:] {
		r := row{}
		for i, value := range record {
			// SQL Server Management Studio writes null so.
			if strings.TrimSpace(value) == "NULL" {
				value = ""
			}
			r[names[i]] = value
		}
		rows = append(rows, r)
	}
	return rows, nil
}
