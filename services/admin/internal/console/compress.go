package console

import (
	"bytes"
	"compress/gzip"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// What is compressed, and what never is.
//
// The length of a compressed answer says how much of what somebody else chose for
// it stands in it anyway: whoever can choose some of a page, and see how long it
// is, can guess the rest of it. So only these are: the static files, which are the
// same for everybody, and the two long lists, which show no secret, and only when
// our own page asked for them or a person did. A browser says of the latter, and
// no other site can make it say otherwise. Everything else, the stream and the
// answers of the API too, goes as it is.
var compressed = map[string]bool{"webhooks": true, "attempts": true}

// ours says that no other site has chosen anything of this request.
func ours(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "same-origin" || site == "none"
}

// takesGzip says whether the answer may be compressed.
func takesGzip(r *http.Request) bool {
	for _, field := range r.Header.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(field, ",") {
			name, parameter, _ := strings.Cut(part, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			_, q, weighed := strings.Cut(strings.ReplaceAll(parameter, " ", ""), "q=")
			weight, err := strconv.ParseFloat(q, 64)
			return !weighed || err == nil && weight > 0
		}
	}
	return false
}

// static files that gain by it, compressed once.
var zipped = func() map[string][]byte {
	all := map[string][]byte{}
	entries, _ := static.ReadDir("static")
	for _, e := range entries {
		text, _ := static.ReadFile("static/" + e.Name())
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // a level there is
		_, _ = z.Write(text)
		_ = z.Close()
		if b.Len() < len(text)*9/10 {
			all[e.Name()] = b.Bytes()
		}
	}
	return all
}()

// serveZipped answers with a static file's compressed form, where there is one and
// it is wanted.
func serveZipped(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Set("Vary", "Accept-Encoding")
	text := zipped[r.URL.Path]
	if text == nil || r.Header.Get("Range") != "" || !takesGzip(r) {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(r.URL.Path)))
	h.Set("Content-Encoding", "gzip")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text)
	return true
}

var writers = sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}

// writePage writes a page, compressed where that gives nothing away.
func writePage(w http.ResponseWriter, r *http.Request, status int, page string, text []byte) {
	if compressed[page] {
		w.Header().Set("Vary", "Accept-Encoding, Sec-Fetch-Site")
	}
	if !compressed[page] || status != http.StatusOK || !ours(r) || !takesGzip(r) {
		w.WriteHeader(status)
		_, _ = w.Write(text)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z := writers.Get().(*gzip.Writer)
	defer writers.Put(z)
	z.Reset(w)
	_, _ = z.Write(text)
	_ = z.Close()
}
