package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/service/database"
	"github.com/aftercall/aftercall/services/aftercall/internal/simulate"
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
	// Broker is the address of its embedded broker.
	Broker string
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
		m.Broker = simulate.DefaultBroker
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
	_, err := os.Stat(filepath.Join(m.Data, "aftercall.db"))
	return m.Data != "" && err == nil
}

// load reads the settings. Of the one-process edition they are where its folder
// and its defaults say.
func (m Machine) load(r *Report) (settings, bool) {
	var s settings
	if err := config.Load(&s, config.WithEnviron(m.Environ)); err != nil {
		r.add(CheckSettings, Fail, oneLine(err), "a service with these settings does not start", "correct the variables named; docs/configuration.md lists all of them")
		return s, false
	}
	s.Kafka.ClientID = "aftercall-doctor"
	if m.oneProcess() {
		s.Kafka.Embedded, s.OpsListen = true, ""
		s.Kafka.Brokers = []string{m.Broker}
		s.Database.URL = "sqlite:" + filepath.Join(m.Data, "aftercall.db")
		key, err := os.ReadFile(filepath.Join(m.Data, "keyset.json"))
		if err != nil {
			r.add(CheckKeys, Fail, oneLine(err), "without the key no signing secret of this data folder can be opened", "put the file back from where it is kept, readable by the user that runs Aftercall")
		}
		s.Keyset = string(key)
		r.ok(CheckSettings, "the one-process edition in %s", m.Data)
		return s, true
	}
	if len(s.Kafka.Brokers) == 0 {
		r.add(CheckSettings, Fail, "AFTERCALL_BROKERS is not set, and there is no data folder of the one-process edition", "no service starts without a broker",
			"run it with the variables of a service: AFTERCALL_BROKERS=host:port aftercall doctor, or with --data FOLDER beside the one-process edition")
		return s, false
	}
	r.ok(CheckSettings, "%d variables are set and known", m.count())
	return s, true
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
