package chart

// Heat is a row of cells, one a stretch of time, each with a state.
type Heat struct {
	ID, Title, Summary string
	What               string
	// Columns are the heads of the table besides What and the state.
	Columns []string
	Cells   []HeatCell
}

// State of a cell: its word, its class, and the sign drawn in it.
type State struct {
	Word, Class string
	Sign        Sign
}

// Sign is drawn in a cell.
type Sign int

// Signs.
const (
	None Sign = iota
	Tick
	Part
	Cross
	Pause
)

// HeatCell is one cell. Figures are one a column.
type HeatCell struct {
	Label, Full, Raw string
	State            State
	Figures          []string
	Href             string
}

// strokes of the signs, in a square of 16.
var strokes = map[Sign]string{
	None:  `M6 8h4`,
	Tick:  `M3.5 8.5l3 3L12.5 5`,
	Part:  `M8 3.5V9M8 12.2v.1`,
	Cross: `M4 4l8 8M12 4l-8 8`,
	Pause: `M5.5 3.5v9M10.5 3.5v9`,
}

// Draw draws it.
func (c Heat) Draw() Chart {
	const high, cellTop, cellHeight = 66.0, 4.0, 36.0
	out := Chart{ID: c.ID, Title: c.Title, Summary: c.Summary, Table: Table{Head: append([]string{c.What, "state"}, c.Columns...)}}
	s := begin(c.ID, c.Title, c.Summary, "heat", wide, high)
	slot := (wide - 2*right) / float64(max(1, len(c.Cells)))
	seen := map[string]bool{}
	for i, cell := range c.Cells {
		x := right + float64(i)*slot
		row := []Cell{{Text: cell.Full, Raw: cell.Raw, Href: cell.Href}, {Text: cell.State.Word}}
		says := cell.Full + ": " + cell.State.Word
		for k, f := range cell.Figures {
			row = append(row, Cell{Text: f})
			says += ", " + f + " " + c.Columns[k]
		}
		out.Table.Rows = append(out.Table.Rows, row)
		closing := s.link(cell.Href, says)
		s.put(`<rect class="cell %s" x="%s" y="%s" width="%s" height="%s" rx="3"/>`, cell.State.Class, num(x+1), num(cellTop), num(slot-2), num(cellHeight))
		s.put(`<path class="sign %s" transform="translate(%s %s)" d="%s"/>%s`, cell.State.Class, num(x+slot/2-8), num(cellTop+cellHeight/2-8), strokes[cell.State.Sign], closing)
		if i%3 == 0 {
			s.put(`<text class="tick" x="%s" y="%s" text-anchor="middle">%s</text>`, num(x+slot/2), num(high-10), esc(cell.Label))
		}
		if !seen[cell.State.Word] {
			seen[cell.State.Word] = true
			k := &svg{}
			k.put(`<svg class="chart heat swatch" viewBox="0 0 16 16" aria-hidden="true" focusable="false"><rect class="cell %s" width="16" height="16" rx="3"/><path class="sign %s" d="%s"/>`, cell.State.Class, cell.State.Class, strokes[cell.State.Sign])
			out.Legend = append(out.Legend, Key{cell.State.Word, k.end()})
		}
	}
	out.SVG = s.end()
	return out
}
