// Package tilepb is the generated code of delta.proto: the protobuf form of
// POST /v1/tiles:delta. Clients in Go may use it.
//
// To generate it anew: protoc (Debian: protobuf-compiler) in PATH, then go generate.
package tilepb

//go:generate go build -o .bin/ google.golang.org/protobuf/cmd/protoc-gen-go github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto
//go:generate protoc --plugin=.bin/protoc-gen-go --plugin=.bin/protoc-gen-go-vtproto --go_out=. --go_opt=paths=source_relative --go-vtproto_out=. --go-vtproto_opt=paths=source_relative,features=marshal+unmarshal+size delta.proto
//go:generate rm -r .bin
