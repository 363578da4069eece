package chart

import (
	"fmt"
	"html/template"
)

// Spark is a small drawing for a row of a list: a column an hour, what succeeded
// below, what failed on top of it, split in two so that it is told apart without
// its colour.
func Spark(title, says string, columns [][2]int64) template.HTML {
	const sparkWidth, sparkHeight, bar, gap = 132.0, 28.0, 4.5, 1.0
	most := int64(1)
	for _, c := range columns {
		most = max(most, c[0]+c[1])
	}
	s := &svg{}
	s.put(`<svg class="spark" viewBox="0 0 %s %s" role="img"><title>%s</title><desc>%s</desc>`, num(sparkWidth), num(sparkHeight), esc(title), esc(says))
	for i, c := range columns {
		x := float64(i) * (bar + gap)
		if c[0]+c[1] == 0 {
			s.put(`<rect class="none" x="%s" y="%s" width="%s" height="2" rx="1"/>`, num(x), num(sparkHeight-2), num(bar))
			continue
		}
		tall := func(n int64) float64 {
			if n == 0 {
				return 0
			}
			return max(2, float64(n)/float64(most)*(sparkHeight-2))
		}
		ok, bad := tall(c[0]), tall(c[1])
		if ok > 0 {
			s.put(`<rect class="ok" x="%s" y="%s" width="%s" height="%s" rx="1"/>`, num(x), num(sparkHeight-ok), num(bar), num(ok))
		}
		if bad > 0 {
			y := max(0, sparkHeight-ok-bad)
			s.put(`<path class="bad" d="%s"/>`, fmt.Sprintf("M%s %sh1.7v%sh-1.7zm2.8 0h1.7v%sh-1.7z", num(x), num(y), num(bad), num(bad)))
		}
	}
	return s.end()
}
