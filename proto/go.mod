module github.com/aftercall/aftercall/proto

go 1.26.0

require (
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
	google.golang.org/protobuf v1.36.12
)

require golang.org/x/text v0.43.0 // indirect
