module github.com/aftercall/aftercall/services/aftercall

go 1.26.0

require (
	github.com/aftercall/aftercall/pkg v0.0.0
	github.com/aftercall/aftercall/pkg/cdrclient v0.0.0
	github.com/aftercall/aftercall/proto v0.0.0
	github.com/aftercall/aftercall/services/admin v0.0.0
	github.com/aftercall/aftercall/services/projector v0.0.0
	github.com/aftercall/aftercall/services/router v0.0.0
	github.com/aftercall/aftercall/services/sender v0.0.0
)

require (
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/mitchellh/colorstring v0.0.0-20190213212951-d06e56a500db // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
	github.com/rivo/uniseg v0.4.7 // indirect
	github.com/schollz/progressbar/v3 v3.19.1 // indirect
	github.com/spf13/cobra v1.10.2 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
	github.com/twmb/franz-go v1.22.2 // indirect
	github.com/twmb/franz-go/pkg/kadm v1.19.0 // indirect
	github.com/twmb/franz-go/pkg/kmsg v1.15.0 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	go.uber.org/zap v1.28.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/term v0.47.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace (
	github.com/aftercall/aftercall/pkg => ../../pkg
	github.com/aftercall/aftercall/pkg/cdrclient => ../../pkg/cdrclient
	github.com/aftercall/aftercall/proto => ../../proto
	github.com/aftercall/aftercall/services/admin => ../admin
	github.com/aftercall/aftercall/services/projector => ../projector
	github.com/aftercall/aftercall/services/router => ../router
	github.com/aftercall/aftercall/services/sender => ../sender
)
