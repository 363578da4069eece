package store

import (
	"strconv"
	"strings"
	"time"
)

// filter builds the where of a list.
type filter struct {
	d     *DB
	where []string
	args  []any
}

// arg adds an argument and answers its placeholder.
func (f *filter) arg(v any) string {
	f.args = append(f.args, v)
	return "$" + strconv.Itoa(len(f.args))
}

// add adds a condition whose %s stands for v.
func (f *filter) add(condition string, v any) {
	f.where = append(f.where, strings.Replace(condition, "%s", f.arg(v), 1))
}

// equal adds column = v, unless v is empty.
func (f *filter) equal(column, v string) {
	if v != "" {
		f.add(column+" = %s", CleanID(v))
	}
}

// between adds from <= column < to, where they are set.
func (f *filter) between(column string, from, to time.Time) {
	if !from.IsZero() {
		f.add(column+" >= %s", f.d.engine.Time(from))
	}
	if !to.IsZero() {
		f.add(column+" < %s", f.d.engine.Time(to))
	}
}

// within adds least <= column <= most, where they are set.
func (f *filter) within(column string, least, most int32) {
	if least > 0 {
		f.add(column+" >= %s", least)
	}
	if most > 0 {
		f.add(column+" <= %s", most)
	}
}

// result adds a result of attempts. What is not delivered is said in the words of
// the partial indices, so that they serve, and as what it is not otherwise: to say
// it twice would have PostgreSQL expect few rows, and sort all of them.
func (f *filter) result(column, v string) {
	other, unsuccessful := map[string]string{ResultFailed: ResultNotSent, ResultNotSent: ResultFailed}[v]
	if !unsuccessful {
		f.equal(column, v)
		return
	}
	f.where = append(f.where, column+" <> '"+ResultDelivered+"'", column+" <> '"+other+"'")
}

// cause adds a cause, or that it is no test.
func (f *filter) cause(column, v string) {
	if v == CauseNotTest {
		f.where = append(f.where, column+" <> 'test'")
		return
	}
	f.equal(column, v)
}

// status adds a code ("503") or a class of codes ("5xx"). What is neither
// selects nothing.
func (f *filter) status(column, v string) {
	if v == "" {
		return
	}
	if class, ok := strings.CutSuffix(strings.ToLower(v), "xx"); ok {
		if n, err := strconv.Atoi(class); err == nil && n >= 1 && n <= 9 {
			f.add(column+" >= %s", n*100)
			f.add(column+" < %s", (n+1)*100)
			return
		}
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		n = -1
	}
	f.add(column+" = %s", n)
}

// page adds the place in the list and answers its order and limit: newest
// first, by (column, id).
func (f *filter) page(list, column, id string, p Page) (limit int, tail string, err error) {
	limit = p.Limit
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 1000)
	if p.Cursor != "" {
		at, key, err := f.d.openCursor(list, p.Cursor)
		if err != nil {
			return 0, "", err
		}
		f.where = append(f.where, "("+column+", "+id+") < ("+f.arg(f.d.engine.Time(at))+", "+f.arg(key)+")")
	}
	// One more than asked for tells whether there is a next page.
	return limit, " order by " + column + " desc, " + id + " desc limit " + strconv.Itoa(limit+1), nil
}

// text is the where, or nothing.
func (f *filter) text() string {
	if len(f.where) == 0 {
		return ""
	}
	return " where " + strings.Join(f.where, " and ")
}

// marks is "$1,$2,…": the placeholders of n arguments.
func marks(n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = "$" + strconv.Itoa(i+1)
	}
	return strings.Join(out, ",")
}
