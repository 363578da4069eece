// Package chart draws charts as SVG on the server, from plain data.
//
// What it guarantees:
//
//   - There is no inline style and no script: what a mark looks like is its class,
//     and colours are custom properties that follow light and dark.
//   - Nothing is told by colour alone: marks differ in pattern, dash or shape too.
//   - Every chart has a title, a sentence that sums it up, and a table of the same
//     figures with the same links, which a keyboard reaches; the marks themselves
//     are links for a pointer.
//   - Names and links are escaped, whoever wrote them.
package chart

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// Chart is a drawing, and all that belongs to it.
type Chart struct {
	ID, Title string
	// Summary is one sentence, which is also the drawing's description.
	Summary string
	SVG     template.HTML
	Legend  []Key
	Table   Table
}

// Key says what a mark means.
type Key struct {
	Name   string
	Swatch template.HTML
}

// Table has the figures of a chart.
type Table struct {
	Head []string
	Rows [][]Cell
}

// Cell is a text, which may be a link. Raw is for programs where that differs.
type Cell struct{ Text, Raw, Href string }

// none stands where there is no figure.
const none = "–"

// Lines are the table for programs, the head first.
func (t Table) Lines() [][]string {
	out := [][]string{t.Head}
	for _, row := range t.Rows {
		line := make([]string, len(row))
		for i, c := range row {
			line[i] = c.Raw
			if c.Raw == "" && c.Text != none {
				line[i] = c.Text
			}
		}
		out = append(out, line)
	}
	return out
}

// Look is a mark's class, which gives it its colour, and what tells it apart
// without one.
type Look struct {
	Class   string
	Pattern Pattern
}

// Pattern fills an area.
type Pattern int

// Patterns.
const (
	Solid Pattern = iota
	Hatched
	Dotted
)

// Size of the drawing, and of what stands around its plot.
const (
	width, height             = 480.0, 190.0
	left, right, top, bottom  = 50.0, 8.0, 10.0, 24.0
	plotWidth, plotHeight     = width - left - right, height - top - bottom
	wide                      = 980.0 // of a row of cells
	most                      = 6     // labels below
	thin                      = 3     // of a mark that would hardly be seen
	barHeight, barGap, barTop = 22.0, 8.0, 6.0
)

// svg is a drawing on its way.
type svg struct {
	strings.Builder
	id string
}

func begin(id, title, summary, class string, width, height float64) *svg {
	s := &svg{id: id}
	s.put(`<svg class="chart %s" viewBox="0 0 %s %s" role="group" aria-labelledby="%s-title %s-desc"><title id="%s-title">%s</title><desc id="%s-desc">%s</desc>`,
		class, num(width), num(height), id, id, id, esc(title), id, esc(summary))
	return s
}

func (s *svg) put(format string, args ...any) { fmt.Fprintf(s, format, args...) }

func (s *svg) end() template.HTML {
	s.WriteString(`</svg>`)
	return template.HTML(s.String()) //nolint:gosec // numbers, constants, and texts that esc has escaped
}

// pattern defines the pattern of a look.
func (s *svg) pattern(l Look) {
	switch l.Pattern {
	case Hatched:
		s.put(`<pattern id="%s-%s" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="%s" width="6" height="6"/><rect class="mark" width="2" height="6"/></pattern>`, s.id, l.Class, l.Class)
	case Dotted:
		s.put(`<pattern id="%s-%s" width="6" height="6" patternUnits="userSpaceOnUse"><rect class="%s" width="6" height="6"/><circle class="mark" cx="3" cy="3" r="1.3"/></pattern>`, s.id, l.Class, l.Class)
	case Solid:
	}
}

// paint are the attributes of an area of this look.
func (s *svg) paint(l Look) string {
	if l.Pattern == Solid {
		return `class="` + l.Class + `"`
	}
	return `class="patterned" fill="url(#` + s.id + `-` + l.Class + `)"`
}

// link opens a link for a pointer; the table has the same one for a keyboard. It
// answers what closes it.
func (s *svg) link(href, says string) string {
	if href == "" {
		s.put(`<g>`)
		s.put(`<title>%s</title>`, esc(says))
		return `</g>`
	}
	s.put(`<a href="%s" tabindex="-1" aria-label="%s"><title>%s</title>`, esc(href), esc(says), esc(says))
	return `</a>`
}

// linkText is a link with a text in it, which is its name; says comes with it.
func (s *svg) linkText(href, says string) string {
	if href == "" {
		return s.link(href, says)
	}
	s.put(`<a href="%s" tabindex="-1"><title>%s</title>`, esc(href), esc(says))
	return `</a>`
}

// scale draws the lines of the values and their labels, and answers the top.
func (s *svg) scale(largest float64, text func(float64) string) float64 {
	end := nice(largest)
	for _, v := range []float64{0, end / 2, end} {
		y := top + plotHeight*(1-v/end)
		s.put(`<line class="grid" x1="%s" y1="%s" x2="%s" y2="%s"/><text class="tick" x="%s" y="%s" text-anchor="end">%s</text>`,
			num(left), num(y), num(width-right), num(y), num(left-6), num(y+4), esc(text(v)))
	}
	return end
}

// below writes the labels under the plot, as many as there is room for.
func (s *svg) below(labels []string) {
	every := (len(labels) + most - 1) / most
	slot := plotWidth / float64(max(1, len(labels)))
	for i, l := range labels {
		if i%every == 0 {
			s.put(`<text class="tick" x="%s" y="%s" text-anchor="middle">%s</text>`, num(left+(float64(i)+.5)*slot), num(height-7), esc(l))
		}
	}
}

// nice is a round number that is no less.
func nice(v float64) float64 {
	if v <= 2 {
		return 2
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 4, 6, 8, 10} {
		if v <= m*unit {
			return m * unit
		}
	}
	return 10 * unit
}

func num(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

func esc(text string) string { return template.HTMLEscapeString(text) }

// Count is a number of things, short.
func Count(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(math.Round(v/1e5)/10, 'f', -1, 64) + " M"
	case v >= 1e4:
		return strconv.FormatFloat(math.Round(v/100)/10, 'f', -1, 64) + " k"
	}
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// swatch is the drawing of a key.
func swatch(id string, l Look) template.HTML {
	s := &svg{id: id + "-key"}
	s.put(`<svg class="chart swatch" viewBox="0 0 14 14" aria-hidden="true" focusable="false">`)
	s.pattern(l)
	s.put(`<rect %s width="14" height="14" rx="3"/>`, s.paint(l))
	return s.end()
}
