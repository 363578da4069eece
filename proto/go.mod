module github.com/aftercall/aftercall/proto

go 1.26.0

require google.golang.org/protobuf v1.36.12

require (
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // indirect
	golang.org/x/text v0.14.0 // indirect
)
