module github.com/aftercall/aftercall/services/admin

go 1.26.0

require (
	github.com/aftercall/aftercall/pkg v0.0.0
	github.com/aftercall/aftercall/proto v0.0.0
	github.com/danielgtaylor/huma/v2 v2.37.2
	github.com/google/uuid v1.6.0
	github.com/prometheus/client_golang v1.25.0
	github.com/twmb/franz-go v1.22.2
	github.com/twmb/franz-go/pkg/kadm v1.19.0
	go.uber.org/zap v1.28.0
	golang.org/x/net v0.62.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
	github.com/twmb/franz-go/pkg/kmsg v1.15.0 // indirect
	go.uber.org/multierr v1.11.0 // indirect
)

replace (
	github.com/aftercall/aftercall/pkg => ../../pkg
	github.com/aftercall/aftercall/proto => ../../proto
)
