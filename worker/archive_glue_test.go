package worker

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

var updateGlue = flag.Bool("update-glue", false, "write the archive's schema for Athena anew")

// glueColumns is where infrastructure code has the archive's schema.
const glueColumns = "../infra/archive_columns.json"

// TestGlueColumns holds the table that Athena reads the archive by against the Parquet schema that is written.
func TestGlueColumns(t *testing.T) {
	type column struct{ Name, Type string }
	var columns []column
	for _, f := range newArchiveSchema().schema().Fields() {
		columns = append(columns, column{f.Name(), hiveType(t, f)})
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(columns); err != nil {
		t.Fatal(err)
	}
	want := out.Bytes()
	if *updateGlue {
		if err := os.WriteFile(glueColumns, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(glueColumns)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(want) {
		t.Errorf("%s is not the archive's schema any more; run go test ./worker -run TestGlueColumns -update-glue, then make infra-templates.\nWant %s", glueColumns, want)
	}
}

func logical(n parquet.Node) any {
	if l := n.Type().LogicalType(); l != nil {
		return l.Value
	}
	return nil
}

// hiveType is the type by which Athena reads a column (its Parquet SerDe's mapping). Numbers of 64 bits without a sign are
// read as if they had one: keys, which are only compared.
func hiveType(t *testing.T, n parquet.Node) string {
	t.Helper()
	if n.Leaf() {
		if _, ok := logical(n).(*format.TimestampType); ok {
			return "timestamp"
		}
		switch k := n.Type().Kind(); k {
		case parquet.Boolean:
			return "boolean"
		case parquet.Int32:
			return "int"
		case parquet.Int64:
			return "bigint"
		case parquet.FixedLenByteArray:
			return "binary"
		case parquet.ByteArray:
			return "string"
		default:
			t.Fatalf("no type for %v", k)
		}
	}
	fields := n.Fields()
	if _, ok := logical(n).(*format.ListType); ok {
		return fmt.Sprintf("array<%s>", hiveType(t, fields[0].Fields()[0]))
	}
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = f.Name() + ":" + hiveType(t, f)
	}
	return "struct<" + strings.Join(parts, ",") + ">"
}
