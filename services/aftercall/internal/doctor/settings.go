package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/service/database"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
)

// settings are those of all services that a deployment shares.
type settings struct {
	Kafka     kafka.Config
	Database  database.Config
	Keyset    string `env:"KEYSET"`
	Listen    string `env:"LISTEN" envDefault:"127.0.0.1:8420"`
	OpsListen string `env:"OPS_LISTEN" envDefault:"127.0.0.1:9100"`
	PublicURL string `env:"PUBLIC_URL"`
	// Sources are further topics of CDRs.
	Sources map[string]string `env:"SOURCES" envSeparator:"," envKeyValSeparator:"="`
}

// Check refuses sources as the router does.
func (s settings) Check() error {
	if err := topic.CheckSources(s.Sources); err != nil {
		return fmt.Errorf("AFTERCALL_SOURCES: %w", err)
	}
	return nil
}

// Machine is what the doctor cannot see through a connection. The zero value is
// this machine.
type Machine struct {
	// Environ are NAME=value pairs.
	Environ []string
	// Now is this machine's clock.
	Now func() time.Time
	// Disk tells the free space and the size of a folder's disk, in bytes.
	Disk func(folder string) (free, size int64, err error)
	// Data is the data folder of the one-process edition.
	Data string
	// Broker is the address of its embedded broker, Listen that of its console and
	// API.
	Broker, Listen string
	// Between is how long routers are watched.
	Between time.Duration
}

func (m Machine) defaults() Machine {
	if m.Environ == nil {
		m.Environ = os.Environ()
	}
	if m.Now == nil {
		m.Now = time.Now
	}
	if m.Disk == nil {
		m.Disk = diskSpace
	}
	if m.Broker == "" {
		m.Broker = broker.Default
	}
	if m.Between == 0 {
		m.Between = 2 * time.Second
	}
	return m
}

// oneProcess says whether it is the one-process edition that is looked at: it has
// a data folder here, and no broker elsewhere is named.
func (m Machine) oneProcess() bool {
	for _, v := range m.Environ {
		if strings.HasPrefix(v, "AFTERCALL_BROKERS=") {
			return false
		}
	}
	return m.folder()
}

// folder says whether there is a data folder of the one-process edition.
func (m Machine) folder() bool {
	_, err := os.Stat(filepath.Join(m.Data, "aftercall.db"))
	return m.Data != "" && err == nil
}

// set says whether a variable is in the environment, or the one for its file.
func (m Machine) set(name string) bool {
	return slices.ContainsFunc(m.Environ, func(v string) bool {
		n, value, _ := strings.Cut(v, "=")
		return n == name && value != ""
	})
}

// load reads the settings. Of the one-process edition they are where its folder
// and its defaults say.
func (m Machine) load(ctx context.Context, r *Report) (settings, bool) {
	var s settings
	if err := config.Load(&s, config.WithEnviron(m.Environ)); err != nil {
		r.add(CheckSettings, Fail, oneLine(err), "a service with these settings does not start", "correct the variables named; docs/configuration.md lists all of them")
		return s, false
	}
	s.Kafka.ClientID = "aftercall-doctor"
	if m.oneProcess() {
		s.Kafka.Brokers = []string{m.Broker}
		m.adopt(r, &s)
		r.ok(CheckSettings, "the one-process edition in %s", m.Data)
		return s, true
	}
	if len(s.Kafka.Brokers) == 0 {
		r.add(CheckSettings, Fail, fmt.Sprintf("AFTERCALL_BROKERS is not set, and %s is no data folder of the one-process edition", m.Data), "no service starts without a broker",
			"run it with the variables of a service: AFTERCALL_BROKERS=host:port aftercall doctor, or with --data FOLDER beside the one-process edition"+
				broker.Nearby(ctx, m.Broker, "name its folder with --data, or set AFTERCALL_BROKERS=%s"))
		return s, false
	}
	r.ok(CheckSettings, "%d variables are set and known", m.count())
	return s, true
}

// adopt takes database and keyset from the data folder.
func (m Machine) adopt(r *Report, s *settings) {
	s.Kafka.Embedded, s.OpsListen = true, ""
	switch {
	case m.Listen != "":
		s.Listen = m.Listen
	case m.api() != "" && !m.set("AFTERCALL_LISTEN"):
		s.Listen = "" // it is asked where AFTERCALL_API says, and its port is its own affair
	}
	s.Database.URL = "sqlite:" + filepath.Join(m.Data, "aftercall.db")
	key, err := os.ReadFile(filepath.Join(m.Data, "keyset.json"))
	if err != nil {
		r.add(CheckKeys, Fail, oneLine(err), "without the key no signing secret of this data folder can be opened", "put the file back from where it is kept, readable by the user that runs Aftercall")
	}
	s.Keyset = string(key)
}

// recognise looks whether the brokers that are named are those of a one-process
// edition: what a cluster needs is no fault there.
func (m Machine) recognise(ctx context.Context, r *Report, s *settings) {
	if s.Kafka.Embedded || !broker.Embedded(ctx, s.Kafka) {
		return
	}
	if folder := m.folder(); folder && s.Database.URL == "" && s.Keyset == "" {
		m.adopt(r, s)
		r.ok(CheckSettings, "%s is the broker of a one-process edition: its data is taken to be in %s (--data)", strings.Join(s.Kafka.Brokers, ", "), m.Data)
		return
	}
	s.Kafka.Embedded, s.OpsListen = true, ""
	r.ok(CheckSettings, "%s is the broker of a one-process edition, whose data folder is not at %s: --data names it", strings.Join(s.Kafka.Brokers, ", "), m.Data)
}

// count of the variables that are Aftercall's.
func (m Machine) count() int {
	n := 0
	for _, v := range m.Environ {
		if strings.HasPrefix(v, config.Prefix) {
			n++
		}
	}
	return n
}

// oneLine is an error in one line: joined errors have several.
func oneLine(err error) string { return strings.ReplaceAll(fmt.Sprint(err), "\n", "; ") }
