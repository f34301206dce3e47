// Package telemetrypb is the generated code of batch.proto and envelope.proto. Clients
// in Go may use it; this module itself decodes batches by hand (see package telemetry)
// and uses it for the envelope's header and as the oracle of its tests.
//
// To generate it anew: protoc (Debian: protobuf-compiler) in PATH, then go generate.
package telemetrypb

//go:generate go build -o .bin/ google.golang.org/protobuf/cmd/protoc-gen-go github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto
//go:generate protoc --plugin=.bin/protoc-gen-go --plugin=.bin/protoc-gen-go-vtproto --go_out=. --go_opt=paths=source_relative --go-vtproto_out=. --go-vtproto_opt=paths=source_relative,features=marshal+unmarshal+size+pool,pool=github.com/carasso/carasso/telemetry/telemetrypb.Batch,pool=github.com/carasso/carasso/telemetry/telemetrypb.Samples,pool=github.com/carasso/carasso/telemetry/telemetrypb.Column,pool=github.com/carasso/carasso/telemetry/telemetrypb.Mask,pool=github.com/carasso/carasso/telemetry/telemetrypb.Events batch.proto envelope.proto
//go:generate rm -r .bin
