package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Security is how a client proves who it is, and knows whom it talks to. The zero
// value is plain text and nobody: for a broker on the same machine.
//
// Files are read again for every connection: a certificate or a token that is
// renewed needs no restart.
type Security struct {
	// TLS encrypts; the broker's certificate must be signed by a known authority.
	TLS bool `env:"KAFKA_TLS"`
	// CAFile holds the authorities in PEM, in place of the system's.
	CAFile string `env:"KAFKA_TLS_CA_FILE"`
	// CertFile and KeyFile are the client's certificate, in PEM, for mutual TLS.
	CertFile string `env:"KAFKA_TLS_CERT_FILE"`
	KeyFile  string `env:"KAFKA_TLS_KEY_FILE"`
	// ServerName that the broker's certificate must bear, where it is not the
	// host that is dialled.
	ServerName string `env:"KAFKA_TLS_SERVER_NAME"`

	// Mechanism is PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER; empty for
	// none.
	Mechanism string `env:"KAFKA_SASL_MECHANISM"`
	Username  string `env:"KAFKA_SASL_USERNAME"`
	Password  string `env:"KAFKA_SASL_PASSWORD"`
	// TokenFile holds the token of OAUTHBEARER.
	TokenFile string `env:"KAFKA_SASL_TOKEN_FILE"`
}

// Mechanisms of SASL.
const (
	mechanismPlain   = "PLAIN"
	mechanismSHA256  = "SCRAM-SHA-256"
	mechanismSHA512  = "SCRAM-SHA-512"
	mechanismOAuth   = "OAUTHBEARER"
	everyMechanism   = mechanismPlain + ", " + mechanismSHA256 + ", " + mechanismSHA512 + " or " + mechanismOAuth
	handshakeTimeout = 5 * time.Second
)

// Check names what does not fit together, and files that cannot be read.
func (s Security) Check() error {
	var errs []error
	if !s.TLS && (s.CAFile != "" || s.CertFile != "" || s.KeyFile != "" || s.ServerName != "") {
		errs = append(errs, errors.New("AFTERCALL_KAFKA_TLS_… are set, but TLS is off: set AFTERCALL_KAFKA_TLS=true"))
	}
	if s.TLS {
		if _, err := s.tls(); err != nil {
			errs = append(errs, err)
		}
	}
	switch s.mechanism() {
	case "":
		if s.Username != "" || s.Password != "" || s.TokenFile != "" {
			errs = append(errs, errors.New("AFTERCALL_KAFKA_SASL_… are set, but no mechanism: set AFTERCALL_KAFKA_SASL_MECHANISM to "+everyMechanism))
		}
	case mechanismPlain, mechanismSHA256, mechanismSHA512:
		if s.Username == "" || s.Password == "" {
			errs = append(errs, fmt.Errorf("%s needs AFTERCALL_KAFKA_SASL_USERNAME and AFTERCALL_KAFKA_SASL_PASSWORD (or …_PASSWORD_FILE)", s.mechanism()))
		}
	case mechanismOAuth:
		if s.TokenFile == "" {
			errs = append(errs, errors.New("OAUTHBEARER needs AFTERCALL_KAFKA_SASL_TOKEN_FILE"))
		} else if _, err := s.token(); err != nil {
			errs = append(errs, err)
		}
	default:
		errs = append(errs, fmt.Errorf("AFTERCALL_KAFKA_SASL_MECHANISM is %q: it must be %s", s.Mechanism, everyMechanism))
	}
	return errors.Join(errs...)
}

func (s Security) mechanism() string { return strings.ToUpper(strings.TrimSpace(s.Mechanism)) }

// tls reads the files.
func (s Security) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.ServerName}
	if s.CAFile != "" {
		text, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading AFTERCALL_KAFKA_TLS_CA_FILE: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("AFTERCALL_KAFKA_TLS_CA_FILE: %s holds no certificate in PEM", s.CAFile)
		}
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		return nil, errors.New("of AFTERCALL_KAFKA_TLS_CERT_FILE and AFTERCALL_KAFKA_TLS_KEY_FILE one is set: mutual TLS needs both")
	}
	if s.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading AFTERCALL_KAFKA_TLS_CERT_FILE and AFTERCALL_KAFKA_TLS_KEY_FILE: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func (s Security) token() (string, error) {
	text, err := os.ReadFile(s.TokenFile)
	if err != nil {
		return "", fmt.Errorf("reading AFTERCALL_KAFKA_SASL_TOKEN_FILE: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", fmt.Errorf("AFTERCALL_KAFKA_SASL_TOKEN_FILE: %s is empty", s.TokenFile)
	}
	return token, nil
}

// dial wraps a dialer of connections, nil for the usual one; nil where the usual
// one does.
func (s Security) dial(inner func(ctx context.Context, network, addr string) (net.Conn, error)) func(ctx context.Context, network, addr string) (net.Conn, error) {
	if !s.TLS {
		return inner
	}
	if inner == nil {
		inner = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		config, err := s.tls()
		if err != nil {
			return nil, err
		}
		if config.ServerName == "" {
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			config.ServerName = host
		}
		conn, err := inner(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		secured := tls.Client(conn, config)
		ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
		defer cancel()
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("TLS with Kafka at %s: %w", addr, err)
		}
		return secured, nil
	}
}

// advice says what to change after a first question that was not answered.
func (s Security) advice(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		return "; the broker's certificate is signed by an authority that is not known here: give it in AFTERCALL_KAFKA_TLS_CA_FILE"
	case errors.As(err, &name):
		return "; the broker's certificate bears another name: dial that one, or set AFTERCALL_KAFKA_TLS_SERVER_NAME"
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return "; check AFTERCALL_KAFKA_SASL_USERNAME and its password or token"
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return "; the broker does not offer AFTERCALL_KAFKA_SASL_MECHANISM " + s.mechanism()
	}
	// Some brokers say nothing and hang up.
	hint := ""
	if !s.TLS {
		hint += "; does this port want TLS (AFTERCALL_KAFKA_TLS)?"
	}
	if s.mechanism() == "" {
		return hint + "; does it want SASL (AFTERCALL_KAFKA_SASL_MECHANISM)?"
	}
	return hint + "; are AFTERCALL_KAFKA_SASL_USERNAME and its password or token right?"
}

// sasl is the mechanism's option, if there is one.
func (s Security) sasl() []kgo.Opt {
	if m := s.authentication(); m != nil {
		return []kgo.Opt{kgo.SASL(m)}
	}
	return nil
}

// authentication is the mechanism, nil for none.
func (s Security) authentication() sasl.Mechanism {
	switch s.mechanism() {
	case mechanismPlain:
		return plain.Auth{User: s.Username, Pass: s.Password}.AsMechanism()
	case mechanismSHA256:
		return scram.Auth{User: s.Username, Pass: s.Password}.AsSha256Mechanism()
	case mechanismSHA512:
		return scram.Auth{User: s.Username, Pass: s.Password}.AsSha512Mechanism()
	case mechanismOAuth:
		return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
			token, err := s.token()
			return oauth.Auth{Token: token}, err
		})
	}
	return nil
}
