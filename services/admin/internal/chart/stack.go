package chart

import "strconv"

// Stack is a chart of columns, each of which stacks the values of the series.
type Stack struct {
	ID, Title, Summary string
	// What the columns are: the head of the table's first column.
	What    string
	Series  []Series
	Columns []Column
}

// Series is a row of values with one meaning.
type Series struct {
	Name string
	Look
}

// Column is a column of a Stack. Values and Hrefs have one element a series.
type Column struct {
	// Label stands below, Full in the table, Raw is for programs.
	Label, Full, Raw string
	Values           []int64
	Hrefs            []string
	// Missing says that what is there was not counted.
	Missing bool
}

// Draw draws it.
func (c Stack) Draw() Chart {
	out := Chart{ID: c.ID, Title: c.Title, Summary: c.Summary, Table: Table{Head: []string{c.What}}}
	s := begin(c.ID, c.Title, c.Summary, "stack", width, height)
	for _, series := range c.Series {
		s.pattern(series.Look)
		out.Legend = append(out.Legend, Key{series.Name, swatch(c.ID, series.Look)})
		out.Table.Head = append(out.Table.Head, series.Name)
	}
	largest := int64(0)
	labels := make([]string, len(c.Columns))
	for i, col := range c.Columns {
		sum := int64(0)
		for _, v := range col.Values {
			sum += v
		}
		largest = max(largest, sum)
		labels[i] = col.Label
	}
	end := s.scale(float64(largest), Count)
	slot := plotWidth / float64(max(1, len(c.Columns)))
	broad := max(1, slot*.72)
	for i, col := range c.Columns {
		x, y := left+float64(i)*slot+(slot-broad)/2, top+plotHeight
		row := []Cell{{Text: col.Full, Raw: col.Raw}}
		if col.Missing {
			s.put(`<rect class="missing" x="%s" y="%s" width="%s" height="%s"><title>%s: not counted</title></rect>`, num(x), num(top), num(broad), num(plotHeight), esc(col.Full))
		}
		for k, v := range col.Values {
			href := col.Hrefs[k]
			if v == 0 {
				href = ""
			}
			cell := Cell{Text: strconv.FormatInt(v, 10), Href: href}
			if col.Missing {
				cell = Cell{Text: "not counted"}
			}
			row = append(row, cell)
			if v == 0 || col.Missing {
				continue
			}
			high := max(thin, float64(v)/end*plotHeight)
			y = max(top, y-high)
			closing := s.link(href, col.Full+": "+strconv.FormatInt(v, 10)+" "+c.Series[k].Name)
			s.put(`<rect %s x="%s" y="%s" width="%s" height="%s"/>%s`, s.paint(c.Series[k].Look), num(x), num(y), num(broad), num(high), closing)
		}
		out.Table.Rows = append(out.Table.Rows, row)
	}
	s.below(labels)
	out.SVG = s.end()
	return out
}
