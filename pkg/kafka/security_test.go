package kafka_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/aftercall/aftercall/pkg/kafka"
)

// authority signs certificates, and keeps all of them as files.
type authority struct {
	t      *testing.T
	folder string
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	serial int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, folder: t.TempDir()}
	a.cert, a.key = a.sign("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a *authority) sign(name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.serial++
	template.SerialNumber, template.Subject = big.NewInt(a.serial), pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	der8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	a.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der8}))
	return cert, key
}

func (a *authority) write(name string, text []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.file(name), text, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) file(name string) string { return filepath.Join(a.folder, name) }

func (a *authority) pair(name string) tls.Certificate {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(a.file(name+".pem"), a.file(name+".key"))
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

// secured is a broker, whose certificate is for 127.0.0.1.
func (a *authority) secured(options ...kfake.Opt) kafka.Config {
	a.t.Helper()
	broker, err := kfake.NewCluster(append(options, kfake.NumBrokers(1))...)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(broker.Close)
	return kafka.Config{Brokers: broker.ListenAddrs()}
}

func ping(t *testing.T, c kafka.Config, s kafka.Security) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c.Security = s
	return kafka.Ping(ctx, c)
}

func TestTLSNeedsAKnownAuthorityAndTheRightName(t *testing.T) {
	a := newAuthority(t)
	a.sign("broker", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"kafka.internal"}})
	c := a.secured(kfake.TLS(&tls.Config{Certificates: []tls.Certificate{a.pair("broker")}, MinVersion: tls.VersionTLS12}))
	for name, x := range map[string]struct {
		s    kafka.Security
		want string
	}{
		"right":             {kafka.Security{TLS: true, CAFile: a.file("ca.pem")}, ""},
		"another name":      {kafka.Security{TLS: true, CAFile: a.file("ca.pem"), ServerName: "kafka.internal"}, ""},
		"a wrong name":      {kafka.Security{TLS: true, CAFile: a.file("ca.pem"), ServerName: "else"}, "AFTERCALL_KAFKA_TLS_SERVER_NAME"},
		"unknown authority": {kafka.Security{TLS: true}, "AFTERCALL_KAFKA_TLS_CA_FILE"},
		"no TLS":            {kafka.Security{}, "AFTERCALL_KAFKA_TLS"},
		"no such file":      {kafka.Security{TLS: true, CAFile: a.file("none.pem")}, "none.pem"},
		"TLS switched off":  {kafka.Security{CAFile: a.file("ca.pem")}, "AFTERCALL_KAFKA_TLS=true"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, ping(t, c, x.s), x.want) })
	}
}

func expect(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("it failed: %v", err)
	case want != "" && err == nil:
		t.Error("it was accepted")
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("%v does not name %s", err, want)
	}
}

func TestMutualTLSFollowsARenewedCertificate(t *testing.T) {
	a := newAuthority(t)
	a.sign("broker", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	c := a.secured(kfake.TLS(&tls.Config{
		Certificates: []tls.Certificate{a.pair("broker")}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}))
	s := kafka.Security{TLS: true, CAFile: a.file("ca.pem"), CertFile: a.file("client.pem"), KeyFile: a.file("client.key")}
	client := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	stranger := newAuthority(t)
	stranger.sign("client", client)
	for _, name := range []string{"client.pem", "client.key"} {
		text, err := os.ReadFile(stranger.file(name))
		if err != nil {
			t.Fatal(err)
		}
		a.write(name, text)
	}
	if ping(t, c, s) == nil {
		t.Error("a stranger's certificate was accepted")
	}
	a.sign("client", client)
	if err := ping(t, c, s); err != nil {
		t.Errorf("with the renewed certificate: %v", err)
	}
	s.KeyFile = ""
	expect(t, ping(t, c, s), "mutual TLS needs both")
}

func TestSASLNeedsTheRightPassword(t *testing.T) {
	a := newAuthority(t)
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			c := a.secured(kfake.EnableSASL(), kfake.Superuser(mechanism, "aftercall", "pa ss"))
			right := kafka.Security{Mechanism: strings.ToLower(mechanism), Username: "aftercall", Password: "pa ss"}
			expect(t, ping(t, c, right), "")
			wrong := right
			wrong.Password = "guess"
			expect(t, ping(t, c, wrong), "AFTERCALL_KAFKA_SASL_USERNAME")
			wrong.Password = ""
			expect(t, ping(t, c, wrong), "AFTERCALL_KAFKA_SASL_PASSWORD")
			expect(t, ping(t, c, kafka.Security{}), "AFTERCALL_KAFKA_SASL_MECHANISM")
		})
	}
}

func TestSecuritySettingsThatDoNotFitTogetherAreNamed(t *testing.T) {
	folder := t.TempDir()
	empty := filepath.Join(folder, "token")
	if err := os.WriteFile(empty, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, s := range map[string]kafka.Security{
		"it must be PLAIN":                        {Mechanism: "GSSAPI"},
		"AFTERCALL_KAFKA_SASL_MECHANISM":          {Username: "u"},
		"OAUTHBEARER needs":                       {Mechanism: "OAUTHBEARER"},
		"is empty":                                {Mechanism: "OAUTHBEARER", TokenFile: empty},
		"reading AFTERCALL_KAFKA_SASL_TOKEN_FILE": {Mechanism: "OAUTHBEARER", TokenFile: filepath.Join(folder, "none")},
	} {
		expect(t, s.Check(), want)
	}
	if err := (kafka.Security{}).Check(); err != nil {
		t.Errorf("nothing set: %v", err)
	}
}
