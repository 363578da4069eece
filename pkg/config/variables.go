package config

import "slices"

// Prefix begins the name of every variable that Aftercall reads.
const Prefix = "AFTERCALL_"

// Mask says how much of a value may be shown.
type Mask int

// Masks.
const (
	Shown    Mask = iota // as it is
	Password             // a URL: shown without its password
	Secret               // never
)

// Variable is a setting as people see it.
type Variable struct {
	Name    string // with the prefix
	Text    string // what it does, in a sentence or two, for docs/configuration.md
	Example string
	Mask    Mask
	// Empty is what an empty value stands for where that is not the default.
	Empty string
}

// None is an address where nothing listens.
const None = "none"

// variables are all that any service knows, in the order of the documentation.
var variables = []Variable{
	// Where things are.
	{Name: "AFTERCALL_BROKERS", Example: "kafka-1:9092,kafka-2:9092",
		Text: "Addresses of Kafka brokers to start from, separated by commas."},
	{Name: "AFTERCALL_CLIENT_ID",
		Text: "Name under which the service appears to Kafka; by default the service and its instance."},
	{Name: "AFTERCALL_KAFKA_TLS", Example: "true",
		Text: "Whether connections to Kafka are encrypted with TLS."},
	{Name: "AFTERCALL_KAFKA_TLS_CA_FILE", Example: "/etc/aftercall/kafka-ca.pem",
		Text: "Authorities (PEM) that sign the brokers' certificates; by default the system's."},
	{Name: "AFTERCALL_KAFKA_TLS_CERT_FILE", Example: "/etc/aftercall/client.pem",
		Text: "Certificate (PEM) of this client, for mutual TLS. Files are read again for each connection."},
	{Name: "AFTERCALL_KAFKA_TLS_KEY_FILE", Example: "/etc/aftercall/client.key",
		Text: "Key (PEM) of that certificate."},
	{Name: "AFTERCALL_KAFKA_TLS_SERVER_NAME", Example: "kafka.internal",
		Text: "Name that the brokers' certificates bear, where it is not the host dialled."},
	{Name: "AFTERCALL_KAFKA_SASL_MECHANISM", Example: "SCRAM-SHA-512",
		Text: "How the client authenticates: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER; by default not at all."},
	{Name: "AFTERCALL_KAFKA_SASL_USERNAME", Example: "aftercall-sender",
		Text: "User name for PLAIN and SCRAM."},
	{Name: "AFTERCALL_KAFKA_SASL_PASSWORD", Mask: Secret,
		Text: "Password for PLAIN and SCRAM. Usually given as AFTERCALL_KAFKA_SASL_PASSWORD_FILE."},
	{Name: "AFTERCALL_KAFKA_SASL_TOKEN_FILE", Example: "/var/run/secrets/kafka/token",
		Text: "File with the token for OAUTHBEARER, read again for each authentication."},
	{Name: "AFTERCALL_ENSURE_TOPICS", Example: "false",
		Text: "Whether topics that do not exist are created; otherwise a missing one stops the service."},
	{Name: "AFTERCALL_TOPIC_REPLICATION", Example: "3",
		Text: "Replication factor of topics that are created; 0 for the broker's default."},
	{Name: "AFTERCALL_DATABASE_URL", Example: "postgres://aftercall@db/aftercall", Mask: Password,
		Text: "PostgreSQL's address, for the projector and admin. Router and sender need no database."},
	{Name: "AFTERCALL_KEEP_PAYLOADS", Example: "720h",
		Text: "How long the store keeps CDRs themselves; afterwards a call cannot be sent again from it. 0 keeps for ever."},
	{Name: "AFTERCALL_KEEP_HISTORY", Example: "2160h",
		Text: "How long the store keeps what happened: attempts, deliveries, events, rejections. At least 192h; 0 keeps for ever."},
	{Name: "AFTERCALL_KEEP_AUDIT", Example: "8760h",
		Text: "How long the store keeps who did what, and replays. 0 keeps for ever."},
	{Name: "AFTERCALL_LISTEN", Example: "0.0.0.0:8420",
		Text: "Address of the API and the console (admin)."},
	{Name: "AFTERCALL_PUBLIC_URL", Example: "https://aftercall.example.com",
		Text: "Address under which people reach the console, as it stands in links."},
	{Name: "AFTERCALL_PPROF_LISTEN", Example: "127.0.0.1:6060",
		Text: "Loopback address of Go's profiles (/debug/pprof/); empty for none. Other addresses are refused."},
	{Name: "AFTERCALL_OPS_LISTEN", Example: "0.0.0.0:9100", Empty: None,
		Text: "Address of /livez, /readyz and /metrics; empty, or none, for none. It asks for no token: keep it inside."},

	// Who this is.
	{Name: "AFTERCALL_INSTANCE", Example: "router-0",
		Text: "Name of this instance, unique within its service and the same after a restart: the router's transactional id and static membership rest on it."},
	{Name: "AFTERCALL_STATIC_INSTANCE", Example: "true",
		Text: "Whether the instance's name is unique and survives restarts (a StatefulSet): a sender that comes back then takes up its work at once."},
	{Name: "AFTERCALL_LOG_LEVEL", Example: "debug",
		Text: "Least severe level that is logged: debug, info, warn or error."},

	// Secrets.
	{Name: "AFTERCALL_KEYSET", Mask: Secret,
		Text: "Tink keyset (JSON, AES-256-GCM) that encrypts signing secrets and header values, and under which the store remembers what was erased. Usually given as AFTERCALL_KEYSET_FILE."},
	{Name: "AFTERCALL_ADMIN_TOKEN", Mask: Secret,
		Text: "API token that admin makes valid at start, with all scopes. Usually given as AFTERCALL_ADMIN_TOKEN_FILE."},
	{Name: "AFTERCALL_ADMIN_PASSWORD", Mask: Secret,
		Text: "Password of the console's user admin, who is made with it at a start with no user yet; without effect afterwards. Usually given as AFTERCALL_ADMIN_PASSWORD_FILE."},

	// What comes in.
	{Name: "AFTERCALL_SOURCES", Example: "contoso.queue.v2=App.QueueWebhook",
		Text: "Further topics to read CDRs from, none of them Aftercall's own, each with its event type."},
	{Name: "AFTERCALL_MAX_RECORD_BYTES", Example: "1048576",
		Text: "Largest CDR that is accepted, in bytes: 1 KiB to 8 MiB."},
	{Name: "AFTERCALL_START_AT", Example: "earliest",
		Text: "Where a group begins that never committed: earliest, latest or an RFC 3339 time. It is committed at the first start, and has no effect afterwards. Without it a group begins at the start of the log; where that is no longer the first record, the service stops and explains."},
	{Name: "AFTERCALL_OU_SEPARATOR", Example: "/",
		Text: "What separates the units of an organization path."},

	// How webhooks go out, and where to.
	{Name: "AFTERCALL_MAX_IN_FLIGHT", Example: "512",
		Text: "Most requests that one sender has under way: 1 to 100000."},
	{Name: "AFTERCALL_ALLOW_ADDRESSES", Example: "10.2.0.0/16:8443,127.0.0.0/8:*",
		Text: "Addresses that webhooks may go to although they are not public, or although the port is not a usual one."},
	{Name: "AFTERCALL_DENY_ADDRESSES", Example: "10.2.0.7:9092",
		Text: "Addresses that webhooks must never go to, whatever is allowed."},
	{Name: "AFTERCALL_ALLOW_HTTP", Example: "true",
		Text: "Whether an endpoint may be http:// rather than https://."},
}

// Variables returns every setting that some service knows, in the order of the
// documentation.
func Variables() []Variable { return slices.Clone(variables) }

func variable(name string) (Variable, bool) {
	for _, v := range variables {
		if v.Name == name {
			return v, true
		}
	}
	return Variable{}, false
}
