package chart

import (
	"html/template"
	"strings"
)

// Lines is a chart of one line a series over the same points.
type Lines struct {
	ID, Title, Summary string
	What               string
	// Series are at most three: each has a dash and a mark of its own.
	Series []Series
	Points []Point
	// Text writes a value for people, Raw for programs.
	Text, Raw func(float64) string
}

// Point is where the lines have their values. A Gap has none, and interrupts them.
type Point struct {
	Label, Full, Raw string
	Values           []float64
	Gap              bool
	Href             string
}

// dashes of the lines, in their order.
var dashes = [...]string{"", ` stroke-dasharray="6 4"`, ` stroke-dasharray="2 3"`}

// dot marks a value, by a shape of its line's own.
func (s *svg) dot(k int, class string, x, y float64) {
	switch k {
	case 0:
		s.put(`<circle class="%s" cx="%s" cy="%s" r="3"/>`, class, num(x), num(y))
	case 1:
		s.put(`<rect class="%s" x="%s" y="%s" width="5.6" height="5.6"/>`, class, num(x-2.8), num(y-2.8))
	default:
		s.put(`<path class="%s" d="M%s %sl3.6 6.4h-7.2z"/>`, class, num(x), num(y-3.8))
	}
}

// Draw draws it.
func (c Lines) Draw() Chart {
	out := Chart{ID: c.ID, Title: c.Title, Summary: c.Summary, Table: Table{Head: []string{c.What}}}
	s := begin(c.ID, c.Title, c.Summary, "lines", width, height)
	largest := 0.0
	labels := make([]string, len(c.Points))
	for i, p := range c.Points {
		labels[i] = p.Label
		for _, v := range p.Values {
			largest = max(largest, v)
		}
	}
	for k, series := range c.Series {
		out.Legend = append(out.Legend, Key{series.Name, lineSwatch(k, series.Class)})
		out.Table.Head = append(out.Table.Head, series.Name)
	}
	end := s.scale(largest, c.Text)
	slot := plotWidth / float64(max(1, len(c.Points)))
	at := func(i, k int) (x, y float64) {
		return left + (float64(i)+.5)*slot, top + plotHeight*(1-c.Points[i].Values[k]/end)
	}
	for k, series := range c.Series {
		var path strings.Builder
		pen := "M"
		for i, p := range c.Points {
			if p.Gap {
				pen = "M"
				continue
			}
			x, y := at(i, k)
			path.WriteString(pen + num(x) + " " + num(y))
			pen = "L"
		}
		if path.Len() > 0 {
			s.put(`<path class="line %s"%s d="%s"/>`, series.Class, dashes[k%len(dashes)], path.String())
		}
	}
	for i, p := range c.Points {
		row := []Cell{{Text: p.Full, Raw: p.Raw, Href: p.Href}}
		if p.Gap {
			row[0].Href = ""
			for range c.Series {
				row = append(row, Cell{Text: none})
			}
			out.Table.Rows = append(out.Table.Rows, row)
			continue
		}
		says := p.Full
		for k, series := range c.Series {
			row = append(row, Cell{Text: c.Text(p.Values[k]), Raw: c.Raw(p.Values[k])})
			says += ", " + series.Name + " " + c.Text(p.Values[k])
		}
		out.Table.Rows = append(out.Table.Rows, row)
		closing := s.link(p.Href, says)
		s.put(`<rect class="hit" x="%s" y="%s" width="%s" height="%s"/>`, num(left+float64(i)*slot), num(top), num(slot), num(plotHeight))
		for k, series := range c.Series {
			x, y := at(i, k)
			s.dot(k, series.Class, x, y)
		}
		s.put(`%s`, closing)
	}
	s.below(labels)
	out.SVG = s.end()
	return out
}

func lineSwatch(k int, class string) template.HTML {
	s := &svg{}
	s.put(`<svg class="chart lines swatch" viewBox="0 0 26 14" aria-hidden="true" focusable="false"><path class="line %s"%s d="M0 7h26"/>`, class, dashes[k%len(dashes)])
	s.dot(k, class, 13, 7)
	return s.end()
}
