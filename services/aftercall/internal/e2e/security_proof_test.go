//go:build proof

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

// selfSigned is a certificate for 127.0.0.1, its key before it in one file, as
// Kafka takes it.
func selfSigned(t *testing.T) (file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "broker.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestProofThatARealBrokerTakesTLSAndSASL(t *testing.T) {
	certificate := selfSigned(t)
	const listener = "listener.name.sasl_ssl."
	o := outer{
		address: freeAddress(t), protocol: "SASL_SSL",
		properties: fmt.Sprintf(`ssl.keystore.type=PEM
ssl.keystore.location=%s
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
%[2]splain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_aftercall="secret 1";
%[2]sscram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
%[2]sscram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
`, certificate, listener),
		format: []string{"--add-scram", "SCRAM-SHA-256=[name=aftercall,password=secret 1]", "--add-scram", "SCRAM-SHA-512=[name=aftercall,password=secret 1]"},
	}
	c := newCluster(t, 1, nil, o)
	makeTopics(t, c.config())
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			k := kafka.Config{Brokers: []string{o.address}, Security: kafka.Security{
				TLS: true, CAFile: certificate, Mechanism: mechanism, Username: "aftercall", Password: "secret 1",
			}}
			if err := kafka.Ping(t.Context(), k); err != nil {
				t.Fatal(err)
			}
			kafkatest.Produce(t, k, kafkatest.CDR(topic.CDRQueue, mechanism, `{"CallId":"1"}`))
			k.Security.Password = "guess"
			if err := kafka.Ping(t.Context(), k); err == nil {
				t.Error("a wrong password was accepted")
			}
		})
	}
	if n := len(kafkatest.ReadAll(t, c.config(), topic.CDRQueue)); n != 3 {
		t.Errorf("%d records arrived", n)
	}
}
