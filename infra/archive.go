package main

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsathena"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsglue"
)

// archiveColumns is the archive's schema for Athena: [{"Name":…, "Type":…}]. The worker's tests write it from the
// Parquet schema, and fail when it is not that any more.
//
//go:embed archive_columns.json
var archiveColumns []byte

// athenaResults is where results of analysts' queries are put.
const athenaResults = "athena/"

// archiveTable lets Athena read the raw archive where it lies. Hours are projected from the keys
// (raw/2026/11/30/15/…), so there is nothing to crawl and no partition to add.
//
// The table shows every object there is; the manifest in PostgreSQL says which of them count. They differ by what
// failed flushes left and compaction replaced, until the orphans job has deleted it a day later. Where a
// batch must not be seen twice, take DISTINCT claims.
func (d *data) archiveTable() {
	var columns []awsglue.CfnTable_ColumnProperty
	if err := json.Unmarshal(archiveColumns, &columns); err != nil {
		panic(fmt.Errorf("archive_columns.json: %w", err)) // embedded: a fault of the program
	}
	account := awscdk.Aws_ACCOUNT_ID()
	database := awsglue.NewCfnDatabase(d.stack, str("ArchiveDatabase"), &awsglue.CfnDatabaseProps{
		CatalogId: account, DatabaseInput: &awsglue.CfnDatabase_DatabaseInputProperty{Name: str("carasso"), Description: str("Carasso's raw archive")},
	})
	location := "s3://" + *d.raw.BucketName() + "/raw/"
	list := make([]any, len(columns))
	for i := range columns {
		list[i] = &columns[i]
	}
	table := awsglue.NewCfnTable(d.stack, str("ArchiveTable"), &awsglue.CfnTableProps{
		CatalogId: account, DatabaseName: database.Ref(),
		TableInput: &awsglue.CfnTable_TableInputProperty{
			Name: str("raw"), TableType: str("EXTERNAL_TABLE"),
			Description:   str("One row a batch. Objects that the manifest does not name are orphans: take DISTINCT claims."),
			PartitionKeys: &[]any{&awsglue.CfnTable_ColumnProperty{Name: str("hour"), Type: str("string"), Comment: str("UTC hour of the flush, yyyy/MM/dd/HH")}},
			Parameters: map[string]string{
				"classification": "parquet", "EXTERNAL": "TRUE",
				"projection.enabled": "true", "projection.hour.type": "date", "projection.hour.format": "yyyy/MM/dd/HH",
				"projection.hour.range": "2026/01/01/00,NOW", "projection.hour.interval": "1", "projection.hour.interval.unit": "HOURS",
				"storage.location.template": location + "${hour}/",
			},
			StorageDescriptor: &awsglue.CfnTable_StorageDescriptorProperty{
				Location: str(location), Columns: &list,
				InputFormat:  str("org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"),
				OutputFormat: str("org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"),
				SerdeInfo:    &awsglue.CfnTable_SerdeInfoProperty{SerializationLibrary: str("org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe")},
			},
		},
	})
	group := awsathena.NewCfnWorkGroup(d.stack, str("Analysts"), &awsathena.CfnWorkGroupProps{
		Name: str("carasso"), Description: str("Queries over the raw archive"), State: str("ENABLED"), RecursiveDeleteOption: yes(), // else who queried once can't take it down
		WorkGroupConfiguration: &awsathena.CfnWorkGroup_WorkGroupConfigurationProperty{
			EnforceWorkGroupConfiguration: yes(), PublishCloudWatchMetricsEnabled: yes(),
			BytesScannedCutoffPerQuery: num(1 << 40), // 5 USD
			ResultConfiguration: &awsathena.CfnWorkGroup_ResultConfigurationProperty{
				OutputLocation: str("s3://" + *d.raw.BucketName() + "/" + athenaResults),
				EncryptionConfiguration: &awsathena.CfnWorkGroup_EncryptionConfigurationProperty{
					EncryptionOption: str("SSE_KMS"), KmsKey: d.key.KeyArn(),
				},
			},
		},
	})
	query := awsathena.NewCfnNamedQuery(d.stack, str("SpeedsOfAnHour"), &awsathena.CfnNamedQueryProps{
		Database: database.Ref(), WorkGroup: group.Name(), Name: str("Driven speeds of an hour by road"),
		QueryString: str("SELECT s.edge, count(*) AS samples, approx_percentile(s.speed_cmps, 0.85) * 0.036 AS v85_kmh\n" +
			"FROM raw CROSS JOIN UNNEST(samples) AS t (s)\nWHERE hour = '2026/11/30/15' AND s.edge IS NOT NULL\nGROUP BY s.edge ORDER BY samples DESC LIMIT 100"),
	})
	query.AddDependency(table)
	query.AddDependency(group)
}
