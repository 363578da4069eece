package broker_test

import (
	"bytes"
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

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/simulate"
	"github.com/aftercall/aftercall/services/aftercall/internal/trigger"
)

// The broker is real in what matters here: it does TLS and SASL itself.

func secured(t *testing.T, options ...kfake.Opt) kafka.Config {
	t.Helper()
	cluster, err := kfake.NewCluster(append(options, kfake.NumBrokers(1), kfake.SeedTopics(1, topic.CDRQueue, topic.CDRIvr, topic.CDRAgent, topic.CDRRecording, topic.CDRTest))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return kafka.Config{Brokers: cluster.ListenAddrs()}
}

func execute(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	if strings.Contains(out.String(), "pa ss") || err != nil && strings.Contains(err.Error(), "pa ss") {
		t.Errorf("the password is told: %s %v", out.String(), err)
	}
	return out.String(), err
}

// produce runs both commands, and reads what they produced.
func produce(t *testing.T, c kafka.Config) {
	t.Helper()
	brokers := "--brokers=" + strings.Join(c.Brokers, ",")
	if out, err := execute(t, trigger.Command(), "queue", brokers); err != nil {
		t.Fatalf("trigger: %v %s", err, out)
	}
	if out, err := execute(t, simulate.Command(), "--calls=1", brokers); err != nil {
		t.Fatalf("simulate: %v %s", err, out)
	}
	if n := len(kafkatest.ReadAll(t, c, topic.CDRQueue, topic.CDRIvr, topic.CDRAgent, topic.CDRRecording)); n < 2 {
		t.Errorf("%d records arrived", n)
	}
}

func TestProducersAuthenticateByTheSettingsOfTheServices(t *testing.T) {
	for _, m := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(m, func(t *testing.T) {
			c := secured(t, kfake.EnableSASL(), kfake.Superuser(m, "aftercall", "pa ss"))
			brokers := "--brokers=" + c.Brokers[0]
			if _, err := execute(t, trigger.Command(), "queue", brokers); err == nil || !strings.Contains(err.Error(), "AFTERCALL_KAFKA_SASL_MECHANISM") {
				t.Errorf("without a name: %v", err)
			}
			t.Setenv("AFTERCALL_KAFKA_SASL_MECHANISM", m)
			t.Setenv("AFTERCALL_KAFKA_SASL_USERNAME", "aftercall")
			t.Setenv("AFTERCALL_KAFKA_SASL_PASSWORD", "guess")
			if _, err := execute(t, simulate.Command(), "--calls=1", brokers); err == nil || !strings.Contains(err.Error(), "AFTERCALL_KAFKA_SASL_USERNAME") {
				t.Errorf("with a wrong password: %v", err)
			}
			t.Setenv("AFTERCALL_KAFKA_SASL_PASSWORD", "pa ss")
			c.Security = kafka.Security{Mechanism: m, Username: "aftercall", Password: "pa ss"}
			produce(t, c)
		})
	}
}

func TestProducersProveThemselvesByCertificate(t *testing.T) {
	dir := t.TempDir()
	ca, caKey := sign(t, dir, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	sign(t, dir, "broker", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, ca, caKey)
	sign(t, dir, "client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, ca, caKey)
	file := func(name string) string { return filepath.Join(dir, name) }
	pair, err := tls.LoadX509KeyPair(file("broker.pem"), file("broker.key"))
	if err != nil {
		t.Fatal(err)
	}
	known := x509.NewCertPool()
	known.AddCert(ca)
	c := secured(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "aftercall", "pa ss"),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: known, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}))
	c.Security = kafka.Security{TLS: true, CAFile: file("ca.pem"), CertFile: file("client.pem"), KeyFile: file("client.key"), Mechanism: "SCRAM-SHA-512", Username: "aftercall", Password: "pa ss"}
	for name, value := range map[string]string{
		"TLS": "true", "TLS_CA_FILE": c.Security.CAFile, "TLS_CERT_FILE": c.Security.CertFile, "TLS_KEY_FILE": c.Security.KeyFile,
		"SASL_MECHANISM": c.Security.Mechanism, "SASL_USERNAME": c.Security.Username, "SASL_PASSWORD": c.Security.Password,
	} {
		t.Setenv("AFTERCALL_KAFKA_"+name, value)
	}
	produce(t, c)
	t.Setenv("AFTERCALL_KAFKA_TLS_CA_FILE", "")
	if _, err := execute(t, trigger.Command(), "queue", "--brokers="+c.Brokers[0]); err == nil || !strings.Contains(err.Error(), "AFTERCALL_KAFKA_TLS_CA_FILE") {
		t.Errorf("a broker that nobody knows: %v", err)
	}
}

func sign(t *testing.T, dir, name string, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(dir, path), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
