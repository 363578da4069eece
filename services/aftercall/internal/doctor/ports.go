package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/aftercall/aftercall/pkg/config"
)

const patience = 5 * time.Second

// answer is what /readyz of an address says.
type answer struct {
	ours  bool
	ready bool
	text  string
	date  time.Time
}

// readiness asks /readyz. What answers as Aftercall does is Aftercall.
func readiness(ctx context.Context, base string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return answer{}, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return answer{}, err
	}
	head, rest, _ := strings.Cut(string(body), "\n")
	a := answer{ready: res.StatusCode == http.StatusOK, text: strings.TrimSpace(rest)}
	a.ours = head == "ready" || head == "not ready"
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		a.date = date
	}
	return a, nil
}

// local is where to reach an address that is listened on.
func local(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// port looks whether a service can listen, or does. It answers whether Aftercall
// is there.
func (m Machine) port(ctx context.Context, r *Report, variable, addr string) bool {
	if addr == "" || addr == config.None {
		return false
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	of := variable
	if !m.set(variable) {
		of = "the default of " + variable
	}
	if err == nil {
		_ = ln.Close()
		r.ok(CheckPorts, "%s (%s) is free", addr, of)
		return false
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		r.add(CheckPorts, Fail, fmt.Sprintf("%s=%s cannot be listened on: %s", variable, addr, oneLine(err)), "the service ends at its start", "set "+variable+" to an address of this machine, such as 0.0.0.0:8420")
		return false
	}
	a, err := readiness(ctx, "http://"+local(addr))
	switch {
	case (err != nil || !a.ours) && variable == "AFTERCALL_LISTEN" && !m.set(variable):
		r.add(CheckPorts, Warn, fmt.Sprintf("%s, the default of %s, is taken by something that is not Aftercall", addr, variable), "admin would end at its start, if it is to run on this machine",
			fmt.Sprintf("give admin another address: %s", variable))
	case err != nil || !a.ours:
		r.add(CheckPorts, Fail, fmt.Sprintf("%s (%s) is taken by something that is not Aftercall", addr, variable), "the service ends at its start",
			fmt.Sprintf("find it with ss -ltnp 'sport = :%s' and end it, or set %s to another port", portOf(addr), variable))
		return false
	default:
		r.ok(CheckPorts, "%s (%s) is held by Aftercall itself", addr, of)
	}
	return true
}

func portOf(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return port
}

// knowsListen says whether the address that admin listens on was given, rather than
// the default of a variable that the service in question does not have.
// A sender's say nothing of admin; with database and keyset they may be admin's.
func (m Machine) knowsListen(s settings) bool {
	return s.Kafka.Embedded || m.set("AFTERCALL_LISTEN") || s.Database.URL != "" && s.Keyset != ""
}

// api is where the other commands find admin.
func (m Machine) api() string {
	for _, v := range m.Environ {
		if url, ok := strings.CutPrefix(v, "AFTERCALL_API="); ok {
			return strings.TrimSuffix(strings.TrimSuffix(url, "/"), "/api/v1")
		}
	}
	return ""
}

// admin asks the API for its readiness, at the public address or on this machine,
// and compares clocks by the way.
func (m Machine) admin(ctx context.Context, r *Report, s settings, here bool) {
	base, variable := strings.TrimSuffix(s.PublicURL, "/"), "AFTERCALL_PUBLIC_URL"
	if base == "" {
		base, variable = strings.TrimSuffix(m.api(), "/"), "AFTERCALL_API"
	}
	if base == "" {
		const elsewhere = "start admin, or set AFTERCALL_PUBLIC_URL (or AFTERCALL_API) to where it runs"
		if !here {
			r.add(CheckAdmin, Warn, fmt.Sprintf("no admin answers at %s on this machine, and AFTERCALL_PUBLIC_URL does not say where it is", s.Listen), "console and API cannot be asked", elsewhere)
			return
		}
		if !m.knowsListen(s) {
			r.add(CheckAdmin, Warn, fmt.Sprintf("an Aftercall answers at %s, admin's default address; these variables do not say that it is theirs", s.Listen),
				"it may be another deployment's: it was not asked any further", "set AFTERCALL_PUBLIC_URL (or AFTERCALL_API) to where admin runs, or AFTERCALL_LISTEN as admin has it")
			return
		}
		base = "http://" + local(s.Listen)
	}
	if u, err := url.Parse(base); err != nil || u.Host == "" {
		r.add(CheckAdmin, Fail, fmt.Sprintf("%s is %q, which is no address", variable, base), "links in the console lead nowhere", "set it to https:// and the console's host")
		return
	}
	a, err := readiness(ctx, base)
	switch {
	case err != nil:
		r.add(CheckAdmin, Fail, "admin does not answer: "+oneLine(err), "nobody can look at or change webhooks; they go out all the same", "start admin, and look at the proxy and the firewall before it: curl "+base+"/readyz")
		return
	case !a.ours:
		r.add(CheckAdmin, Warn, base+"/readyz is answered by something else, such as a proxy that keeps it inside", "whether admin is ready cannot be seen from here", "ask admin itself: curl http://HOST:8420/readyz")
	case !a.ready:
		r.add(CheckAdmin, Fail, "admin is not ready: "+strings.ReplaceAll(a.text, "\n", "; "), "console and API answer with errors", "mend what the line names")
	default:
		r.ok(CheckAdmin, "admin is ready at %s", base)
	}
	if !a.date.IsZero() {
		// The header has whole seconds: the moment it was written in is up to one later.
		m.clock(r, "the Date of "+base, a.date.Add(500*time.Millisecond), time.Second)
	}
}
