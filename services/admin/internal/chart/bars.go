package chart

import (
	"math"
	"strconv"
)

// Bars is a chart of horizontal bars, one a kind.
type Bars struct {
	ID, Title, Summary string
	What, Unit         string
	Bars               []Bar
}

// Bar is one of them. Says is what its name means, or empty.
type Bar struct {
	Name, Says, Href string
	Value            int64
	Look
}

// Draw draws it.
func (c Bars) Draw() Chart {
	out := Chart{ID: c.ID, Title: c.Title, Summary: c.Summary, Table: Table{Head: []string{c.What, c.Unit}}}
	high := barTop*2 + float64(len(c.Bars))*(barHeight+barGap) - barGap
	s := begin(c.ID, c.Title, c.Summary, "bars", width, max(high, barHeight))
	drawn := map[string]bool{}
	largest, total := int64(1), int64(0)
	for _, b := range c.Bars {
		largest, total = max(largest, b.Value), total+b.Value
		if !drawn[b.Class] {
			s.pattern(b.Look)
			drawn[b.Class] = true
		}
	}
	const names, values = 78.0, 100.0
	for i, b := range c.Bars {
		y := barTop + float64(i)*(barHeight+barGap)
		long := max(thin, float64(b.Value)/float64(largest)*(width-names-values))
		n := strconv.FormatInt(b.Value, 10)
		says := b.Name + ": " + n + " " + c.Unit
		if b.Says != "" {
			says = b.Name + " (" + b.Says + "): " + n + " " + c.Unit
		}
		closing := s.linkText(b.Href, says)
		s.put(`<rect class="hit" x="0" y="%s" width="%s" height="%s"/>`, num(y), num(width), num(barHeight))
		s.put(`<text class="name" x="%s" y="%s" text-anchor="end">%s</text>`, num(names-10), num(y+barHeight/2+4.5), esc(b.Name))
		s.put(`<rect %s x="%s" y="%s" width="%s" height="%s" rx="2"/>`, s.paint(b.Look), num(names), num(y), num(long), num(barHeight))
		s.put(`<text class="value" x="%s" y="%s">%s</text>%s`, num(names+long+8), num(y+barHeight/2+4.5), esc(n+share(b.Value, total)), closing)
		text := b.Name
		if b.Says != "" {
			text += " (" + b.Says + ")"
		}
		out.Table.Rows = append(out.Table.Rows, []Cell{{Text: text, Raw: b.Name, Href: b.Href}, {Text: n}})
	}
	out.SVG = s.end()
	return out
}

// share is " · 12 %", and never 0 % or 100 % of what is neither.
func share(part, whole int64) string {
	p := math.Round(float64(part) * 100 / float64(max(1, whole)))
	switch {
	case part == whole:
		return ""
	case p < 1:
		return " · < 1 %"
	case p > 99:
		return " · > 99 %"
	}
	return " · " + num(p) + " %"
}
