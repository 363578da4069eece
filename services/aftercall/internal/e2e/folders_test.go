package e2e

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// What a sample folder holds.
const (
	foldersDir                  = "testdata/folders"
	folderDelivered, folderWait = 20, 5
	folderKept, folderDead      = "kept", "dead"
)

// A data folder of each release is kept, as a kill -9 left it: this program goes on
// with all of them. History and waiting deliveries are there, secrets open, nothing
// is delivered again, and a new call arrives.
func TestADataFolderOfAnEarlierReleaseGoesOn(t *testing.T) {
	samples, err := filepath.Glob(filepath.Join(foldersDir, "*.tar.gz"))
	if err != nil || len(samples) == 0 {
		t.Fatalf("no sample folders: %v", err)
	}
	for _, sample := range samples {
		t.Run(filepath.Base(sample), func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			unpack(t, sample, data)
			d := atFolder(t, data)
			p := d.continues()
			d.ready(p)
			a := apiAt(t, d)

			var webhooks page[struct{ ID, Name string }]
			a.do(http.MethodGet, "/subscriptions", nil, &webhooks)
			id := map[string]string{}
			for _, w := range webhooks.Items {
				id[w.Name] = w.ID
			}
			count := func(list string) int {
				var items page[struct{}]
				if status := a.do(http.MethodGet, list+"&limit=100", nil, &items); status != http.StatusOK {
					t.Fatalf("GET %s: %d", list, status)
				}
				return len(items.Items)
			}
			if n := count("/attempts?result=delivered&subscription=" + id[folderKept]); n != folderDelivered {
				t.Errorf("%d attempts of the history are there, want %d", n, folderDelivered)
			}
			// Those that wait are tried again, or given up when the sample is older
			// than a delivery may get; either way each has its one row.
			if n := count("/deliveries?subscription=" + id[folderDead]); n != folderWait {
				t.Errorf("%d deliveries of the webhook whose endpoint is down, want %d", n, folderWait)
			}

			a.change(id[folderKept], map[string]any{"endpoint": d.receiver.URL + "/ok"})
			<-newUpstream(t, d.kafka()).send(topic.CDRRecording, 3, 600)
			wait(t, "three new calls", func() bool { return d.receiver.delivered() >= 3 })
			for _, r := range d.receiver.log() {
				if r.Signature != listen.Verified {
					t.Errorf("%s does not verify under the secret in the folder: %s", r.WebhookID, r.Problem)
				}
			}
			if n := d.receiver.requests(); n != 3 {
				t.Errorf("%d requests, want 3: what was delivered before is not delivered again", n)
			}
			p.stop()
		})
	}
}

// With AFTERCALL_SAMPLE_FOLDER=FILE a folder of this build is kept as FILE, to be
// put beside the others when a version is released.
func TestKeepASampleFolder(t *testing.T) {
	file := os.Getenv("AFTERCALL_SAMPLE_FOLDER")
	if file == "" {
		file = filepath.Join(t.TempDir(), "sample.tar.gz")
	}
	d, p := newOneProcess(t, filepath.Join(t.TempDir(), "data"), topic.TypeRecording, listen.Options{})
	a := apiAt(t, d)
	dead := a.webhook("http://"+freeAddress(t)+"/", []string{topic.TypeIvr}, map[string]any{"name": folderDead})
	<-d.upstream.send(topic.CDRRecording, folderDelivered, 600)
	<-d.upstream.send(topic.CDRIvr, folderWait, 600)
	wait(t, "what the folder is to hold", func() bool {
		var delivered, waiting page[struct{}]
		a.do(http.MethodGet, "/attempts?result=delivered&limit=100&subscription="+d.webhook, nil, &delivered)
		a.do(http.MethodGet, "/deliveries?state="+store.StateWaiting+"&limit=100&subscription="+dead, nil, &waiting)
		return len(delivered.Items) == folderDelivered && len(waiting.Items) == folderWait
	})
	p.kill()
	pack(t, d.data, file)
	unpack(t, file, filepath.Join(t.TempDir(), "again"))
}

// F42: a power cut leaves the end of a file half written, or takes it. What was not
// acknowledged is dropped, and work goes on.
func TestADataFolderWithTornFilesGoesOn(t *testing.T) {
	for torn, damage := range map[string]func(*testing.T, string){
		"broker/partitions/*/0.dat": halfABatch,
		"broker/partitions/*/0.idx": withoutItsEnd,
		"broker/groups.log":         withoutItsEnd,
		"broker/pids.log":           withoutItsEnd,
		"aftercall.db-wal":          withoutItsEnd,
	} {
		t.Run(filepath.Base(torn), func(t *testing.T) {
			d := atFolder(t, damaged(t, torn, damage))
			p := d.continues()
			d.ready(p)
			a := apiAt(t, d)
			id := a.webhook(d.receiver.URL+"/ok", []string{topic.TypeQueue}, nil)
			<-newUpstream(t, d.kafka()).send(topic.CDRQueue, 3, 600)
			wait(t, "three new calls", func() bool { return d.receiver.delivered() >= 3 })
			wait(t, "their history", func() bool {
				var items page[struct{}]
				a.do(http.MethodGet, "/attempts?result=delivered&limit=100&subscription="+id, nil, &items)
				return len(items.Items) == 3
			})
			p.stop()
		})
	}
}

// A log that lost what had been acknowledged is not gone on with in silence.
func TestADataFolderThatLostAcknowledgedRecordsIsRefused(t *testing.T) {
	d := atFolder(t, damaged(t, "broker/partitions/aftercall.history-*/0.dat", withoutItsEnd))
	p := d.continues()
	if status := p.exit(patience); status == 0 {
		t.Error("it ended without an error")
	}
	if last := p.tail(1); !strings.Contains(last, "lost data") || !strings.Contains(last, "aftercall.history") {
		t.Errorf("it ended with %q", last)
	}
}

// damaged unpacks the latest sample and damages the files of a pattern.
func damaged(t *testing.T, pattern string, damage func(*testing.T, string)) string {
	t.Helper()
	samples, err := filepath.Glob(filepath.Join(foldersDir, "*.tar.gz"))
	if err != nil || len(samples) == 0 {
		t.Fatalf("no sample folders: %v", err)
	}
	data := filepath.Join(t.TempDir(), "data")
	unpack(t, samples[len(samples)-1], data)
	files, err := filepath.Glob(filepath.Join(data, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	for _, file := range files {
		damage(t, file)
	}
	return data
}

func withoutItsEnd(t *testing.T, file string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, max(0, info.Size()-7)); err != nil {
		t.Fatal(err)
	}
}

// halfABatch is what a write leaves that was cut: the beginning of a batch.
func halfABatch(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(content, content[:min(80, len(content))]...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// atFolder is a one-process edition on a folder that there is already.
func atFolder(t *testing.T, data string) *oneProcess {
	t.Helper()
	return &oneProcess{
		t: t, folder: t.TempDir(), data: data, console: freeAddress(t), broker: freeAddress(t), sample: freeAddress(t),
		receiver: newReceiver(t, listen.Options{Secrets: [][]byte{rawSecret(t, signingSecret)}}),
	}
}

// continues starts it so that nothing is too old to be kept: the sample gets older.
func (d *oneProcess) continues() *process {
	d.t.Helper()
	return launch(d.t, d.folder, "aftercall", []string{"dev", "--data", d.data, "--calls", "0", "--listen", d.console, "--kafka-listen", d.broker, "--receiver-listen", d.sample},
		[]string{"AFTERCALL_KEEP_PAYLOADS=876000h", "AFTERCALL_KEEP_HISTORY=876000h", "AFTERCALL_KEEP_AUDIT=876000h"})
}

// apiAt is the API of a one-process edition, with the token in its folder.
func apiAt(t *testing.T, d *oneProcess) *api {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(d.data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	return &api{t: t, base: "http://" + d.console + "/api/v1", token: strings.TrimSpace(string(token))}
}

func pack(t *testing.T, dir, file string) {
	t.Helper()
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(out)
	w := tar.NewWriter(z)
	if err := errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), z.Close(), out.Close()); err != nil {
		t.Fatalf("packing %s: %v", dir, err)
	}
}

func unpack(t *testing.T, file, dir string) {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(h.Name, "/")
		if h.Typeflag == tar.TypeDir {
			if err := root.Mkdir(name, fs.FileMode(h.Mode).Perm()); err != nil && !errors.Is(err, fs.ErrExist) {
				t.Fatal(err)
			}
			continue
		}
		out, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY, fs.FileMode(h.Mode).Perm())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(out, r); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
