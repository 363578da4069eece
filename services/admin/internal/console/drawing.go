package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/chart"
)

// icons are drawings of our own, on a grid of 24.
var icons = map[string]string{
	"brand":   `<path d="M3 16c4 0 4.500-9 9-9s5 9 9 9" fill="none" stroke="currentColor" stroke-width="2.400" stroke-linecap="round"/><circle cx="12" cy="7" r="3" fill="currentColor"/>`,
	"webhook": `<g fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"><circle cx="6" cy="17" r="3"/><circle cx="18" cy="17" r="3"/><circle cx="12" cy="6" r="3"/><path d="M10.500 8.600 7.500 14.400M13.500 8.600l3 5.800M9 17h6"/></g>`,
	"send":    `<path d="M4 12 20 4l-5 16-3.500-6.500z M11.500 13.500 20 4" fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round"/>`,
	"again":   `<path d="M20 11a8 8 0 1 0-2.300 6M20 5v6h-6" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>`,
	"call":    `<path d="M6 3h3l2 5-2.500 1.500a11 11 0 0 0 6 6L16 13l5 2v3a3 3 0 0 1-3 3A15 15 0 0 1 3 6a3 3 0 0 1 3-3z" fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round"/>`,
	"list":    `<path d="M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01" fill="none" stroke="currentColor" stroke-width="2.200" stroke-linecap="round"/>`,
	"alert":   `<path d="M12 4 2.500 20h19z M12 10v4.500M12 17.300v.01" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>`,
	"pulse":   `<path d="M3 12h4l3-7 4 14 3-7h4" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>`,
	"person":  `<path d="M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 20a8 8 0 0 1 16 0" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>`,
	"key":     `<path d="M8 20a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM11 13l8-8M15.500 8.500l3 3" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>`,
	"log":     `<path d="M6 3h9l4 4v14H6zM9.500 11h6M9.500 15.500h6" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>`,
	"erase":   `<path d="M4 7h16M9 7V4h6v3M6.500 7l1 13h9l1-13" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>`,
	"plus":    `<path d="M12 5v14M5 12h14" stroke="currentColor" stroke-width="2.400" stroke-linecap="round"/>`,
	"search":  `<path d="m20 20-4.500-4.500M17 10.500a6.500 6.500 0 1 1-13 0 6.500 6.500 0 0 1 13 0z" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"/>`,
	"check":   `<path d="m5 13 4.500 4.500L19 7" fill="none" stroke="currentColor" stroke-width="2.400" stroke-linecap="round" stroke-linejoin="round"/>`,
	"tick":    `<path d="m4 13 5.500 5.500L20 6" fill="none" stroke="currentColor" stroke-width="4" stroke-linecap="round" stroke-linejoin="round"/>`,
	"cross":   `<path d="M5 5l14 14M19 5 5 19" fill="none" stroke="currentColor" stroke-width="4" stroke-linecap="round"/>`,
	"clock":   `<path d="M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm-1.500 4h3v5.400l3.600 3.600-2.100 2.100-4.500-4.500z" fill-rule="evenodd"/>`,
	"ring":    `<circle cx="12" cy="12" r="8" fill="none" stroke="currentColor" stroke-width="4"/>`,
	"dot":     `<circle cx="12" cy="12" r="9"/>`,
	"square":  `<rect x="4" y="4" width="16" height="16" rx="2"/>`,
}

func icon(name string) template.HTML {
	return template.HTML(`<svg viewBox="0 0 24 24" aria-hidden="true" focusable="false">` + icons[name] + `</svg>`) //nolint:gosec // constants of this file
}

// sparkline draws 24 hours: delivered below, failed on top. Its description says
// the same in words.
func sparkline(name string, hours [24]store.HourStats) template.HTML {
	columns := make([][2]int64, len(hours))
	var delivered, failed int64
	for i, h := range hours {
		columns[i] = [2]int64{h.Delivered, h.Failed}
		delivered += h.Delivered
		failed += h.Failed
	}
	return chart.Spark("Last 24 hours of "+name, fmt.Sprintf("%d delivered and %d failed attempts in the last 24 hours, by hour.", delivered, failed), columns)
}

type phase struct{ Name, Class, Took string }

// waterfall draws the phases of a request one after the other.
func waterfall(t store.Timings) (template.HTML, []phase) {
	total := t.Total
	if total <= 0 {
		return "", nil
	}
	micro := func(n int64) string { return duration(time.Duration(n) * time.Microsecond) }
	all := []struct {
		name, class string
		took        int64
	}{
		{"DNS", "dns", t.DNS}, {"Connect", "connect", t.Connect}, {"TLS", "tls", t.TLS}, {"First byte", "first_byte", t.FirstByte},
		{"Rest", "rest", max(0, total-t.DNS-t.Connect-t.TLS-t.FirstByte)},
	}
	const width, height = 800.0, 16.0
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="waterfall" viewBox="0 0 %g %g" role="img" preserveAspectRatio="none"><title>Timings</title><desc>In all %s.</desc>`, width, height, micro(total))
	phases := []phase{}
	x := 0.0
	for _, p := range all {
		w := float64(p.took) / float64(total) * width
		if p.took > 0 {
			fmt.Fprintf(&b, `<rect class="%s" x="%.2f" y="0" width="%.2f" height="%g"><title>%s %s</title></rect>`, p.class, min(x, width), min(w, max(0, width-x)), height, p.name, micro(p.took))
			phases = append(phases, phase{p.name, p.class, micro(p.took)})
		}
		x += w
	}
	b.WriteString(`</svg>`)
	if t.ConnectionReused {
		phases = append(phases, phase{"Connection", "", "reused"})
	}
	return template.HTML(b.String()), append(phases, phase{"Total", "", micro(total)}) //nolint:gosec // numbers, durations and constants
}
