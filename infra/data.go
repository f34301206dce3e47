package main

import (
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsrds"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
)

// data is everything that outlives a deployment of the services: it is kept when a stack is deleted.
type data struct {
	stack       awscdk.Stack
	key         awskms.Key
	queue, dead awssqs.Queue
	raw, tiles  awss3.Bucket
	logs        awss3.Bucket
	live        awsdynamodb.Table
	master      awssecretsmanager.Secret
	database    awsrds.CfnDBInstance
}

// databaseName and databaseUser are what services connect to and as. The user has no password: it comes with IAM's tokens.
const (
	databaseName   = "carasso"
	databaseUser   = "carasso"
	databaseMaster = "carasso_master"
)

func newData(app awscdk.App, c Config, n *network, props *awscdk.StackProps) *data {
	d := &data{stack: awscdk.NewStack(app, str("Carasso-Data"), props)}
	d.key = awskms.NewKey(d.stack, str("Key"), &awskms.KeyProps{
		Alias: str("carasso/data"), EnableKeyRotation: yes(), RemovalPolicy: awscdk.RemovalPolicy_RETAIN,
		Description: str("Queue, archive, live store, database and secrets of Carasso"),
	})
	d.key.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid: str("Logs"), Actions: strs("kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(str("logs."+c.Region+".amazonaws.com"), nil)},
		Resources:  strs("*"), // in a key's own policy: this key
		Conditions: &map[string]any{"ArnLike": map[string]any{"kms:EncryptionContext:aws:logs:arn": *d.stack.FormatArn(&awscdk.ArnComponents{
			Service: str("logs"), Resource: str("log-group"), ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME, ResourceName: str("/carasso/*"),
		})}},
	}), nil)
	d.queues()
	d.buckets()
	d.liveStore()
	d.secrets()
	d.postgreSQL(c, n)
	d.archiveTable()
	d.delivery(c)
	return d
}

// queues are the queue of envelopes and that of dead letters, which workers bury in quarantine.
func (d *data) queues() {
	queue := func(id string, props awssqs.QueueProps) awssqs.Queue {
		props.RetentionPeriod = lasting(retention)
		props.VisibilityTimeout = lasting(visibility)
		props.Encryption, props.EncryptionMasterKey = awssqs.QueueEncryption_KMS, d.key
		props.DataKeyReuse = awscdk.Duration_Hours(num(24)) // else each receiver asks KMS every five minutes
		props.EnforceSSL = yes()
		props.MaxMessageSizeBytes = num(maxMessage)
		props.RemovalPolicy = awscdk.RemovalPolicy_RETAIN
		return awssqs.NewQueue(d.stack, str(id), &props)
	}
	d.dead = queue("DeadLetters", awssqs.QueueProps{})
	d.queue = queue("Envelopes", awssqs.QueueProps{
		ReceiveMessageWaitTime: awscdk.Duration_Seconds(num(20)),
		DeadLetterQueue:        &awssqs.DeadLetterQueue{Queue: d.dead, MaxReceiveCount: num(maxReceive)},
	})
}

// buckets: one that only the services see, one whose tiles and releases everybody may read through CloudFront, and
// one for logs of access.
func (d *data) buckets() {
	bucket := func(id string, props awss3.BucketProps) awss3.Bucket {
		props.BlockPublicAccess = awss3.BlockPublicAccess_BLOCK_ALL()
		props.ObjectOwnership = awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED
		props.EnforceSSL, props.MinimumTLSVersion = yes(), num(1.2)
		props.RemovalPolicy = awscdk.RemovalPolicy_RETAIN
		return awss3.NewBucket(d.stack, str(id), &props)
	}
	uploads := awss3.LifecycleRule{Id: str("unfinished-uploads"), AbortIncompleteMultipartUploadAfter: days(1)}
	d.logs = bucket("Logs", awss3.BucketProps{
		Encryption:     awss3.BucketEncryption_S3_MANAGED, // load balancers can't write with a customer's key
		LifecycleRules: &[]*awss3.LifecycleRule{&uploads, {Id: str("end"), Expiration: days(30)}},
	})
	d.raw = bucket("Raw", awss3.BucketProps{
		Encryption: awss3.BucketEncryption_KMS, EncryptionKey: d.key, BucketKeyEnabled: yes(),
		// A week to take a wrong deletion back. Erasure goes by keys, so that no copy matters.
		Versioned: yes(), ServerAccessLogsBucket: d.logs, ServerAccessLogsPrefix: str("raw/"),
		LifecycleRules: &[]*awss3.LifecycleRule{
			&uploads,
			{Id: str("deleted"), NoncurrentVersionExpiration: days(7), ExpiredObjectDeleteMarker: yes()},
			// Compaction has put an hour's objects together long before, so these are large.
			{Id: str("archive"), Prefix: str("raw/"), Expiration: days(archiveDays), Transitions: &[]*awss3.Transition{
				{StorageClass: awss3.StorageClass_INFREQUENT_ACCESS(), TransitionAfter: days(35)},
				{StorageClass: awss3.StorageClass_GLACIER_INSTANT_RETRIEVAL(), TransitionAfter: days(125)},
			}},
			{Id: str("quarantine"), Prefix: str("quarantine/"), Expiration: days(90)},
			{Id: str("athena"), Prefix: str(athenaResults), Expiration: days(7)}, // copies of what was asked, which no erasure finds
		},
	})
	d.tiles = bucket("Tiles", awss3.BucketProps{
		Encryption:             awss3.BucketEncryption_S3_MANAGED, // published anyway
		ServerAccessLogsBucket: d.logs, ServerAccessLogsPrefix: str("tiles/"),
		LifecycleRules: &[]*awss3.LifecycleRule{&uploads}, // the orphans job knows which tiles are old; age does not
	})
	output(d.stack, "Bucket", d.raw.BucketName(), str("Archive and map"))
	output(d.stack, "TileBucket", d.tiles.BucketName(), str("Tiles and releases"))
}

// liveStore is the table of pointers, day keys, vehicles' status and use; internal/awsclient has its attributes.
func (d *data) liveStore() {
	d.live = awsdynamodb.NewTable(d.stack, str("Live"), &awsdynamodb.TableProps{
		PartitionKey:                     &awsdynamodb.Attribute{Name: str("k"), Type: awsdynamodb.AttributeType_STRING},
		BillingMode:                      awsdynamodb.BillingMode_PAY_PER_REQUEST,
		TimeToLiveAttribute:              str("expires"),
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: yes()},
		Encryption:                       awsdynamodb.TableEncryption_CUSTOMER_MANAGED, EncryptionKey: d.key,
		DeletionProtection: yes(), RemovalPolicy: awscdk.RemovalPolicy_RETAIN,
	})
}

// secrets: the master key of the pseudonyms. Secrets Manager draws it, and nobody needs to see it: 43 letters and
// digits are 32 bytes in unpadded base64, of some 254 random bits. It is not rotated: what was pseudonymised with the
// claim key must be recognised.
func (d *data) secrets() {
	d.master = awssecretsmanager.NewSecret(d.stack, str("MasterKey"), &awssecretsmanager.SecretProps{
		Description: str("Master key of the pseudonyms"), EncryptionKey: d.key, RemovalPolicy: awscdk.RemovalPolicy_RETAIN,
		GenerateSecretString: &awssecretsmanager.SecretStringGenerator{ExcludePunctuation: yes(), PasswordLength: num(43)},
	})
}

// postgreSQL is the ledger.
func (d *data) postgreSQL(c Config, n *network) {
	subnets := awsrds.NewCfnDBSubnetGroup(d.stack, str("DatabaseSubnets"), &awsrds.CfnDBSubnetGroupProps{
		DbSubnetGroupDescription: str("Subnets of PostgreSQL"),
		SubnetIds:                anys(n.vpc.SelectSubnets(in(dataSubnets)).SubnetIds),
	})
	parameters := awsrds.NewCfnDBParameterGroup(d.stack, str("DatabaseParameters"), &awsrds.CfnDBParameterGroupProps{
		Family: str("postgres17"), Description: str("Insert-only load in large transactions"),
		Parameters: map[string]any{
			"rds.force_ssl":      "1",
			"max_connections":    strconv.Itoa(maxConnections),
			"synchronous_commit": "on", // what is acknowledged to the queue must be kept
			// COPY writes much and seldom the same page twice: few, long, compressed checkpoints.
			"max_wal_size":                 "16384",
			"min_wal_size":                 "2048",
			"checkpoint_timeout":           "900",
			"checkpoint_completion_target": "0.9",
			"wal_compression":              "zstd",
			// Slots and partitions are truncated or dropped, never cleaned; the base tables are rewritten by folding, and
			// wide inserts need their visibility map and freezing before wraparound.
			"autovacuum_vacuum_scale_factor":        "0.05",
			"autovacuum_vacuum_insert_scale_factor": "0.1",
			"autovacuum_vacuum_cost_limit":          "2000",
			"autovacuum_max_workers":                "5",
			"random_page_cost":                      "1.1", // solid-state
			"jit":                                   "0",   // short queries
			"log_lock_waits":                        "1",
			"log_min_duration_statement":            "5000", // milliseconds; statements name no vehicle
			"log_connections":                       "1",
			"log_disconnections":                    "1",
			"idle_in_transaction_session_timeout":   "60000",
		},
	})
	monitoring := awsiam.NewRole(d.stack, str("DatabaseMonitoring"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(str("monitoring.rds.amazonaws.com"), nil),
		ManagedPolicies: &[]awsiam.IManagedPolicy{
			awsiam.ManagedPolicy_FromAwsManagedPolicyName(str("service-role/AmazonRDSEnhancedMonitoringRole")),
		},
	})
	d.database = awsrds.NewCfnDBInstance(d.stack, str("Database"), &awsrds.CfnDBInstanceProps{
		Engine: str("postgres"), EngineVersion: str("17"), AutoMinorVersionUpgrade: yes(), AllowMajorVersionUpgrade: no(),
		DbInstanceClass: str(c.DatabaseClass), DbName: str(databaseName), Port: str("5432"),
		StorageType: str("gp3"), AllocatedStorage: str(whole(c.DatabaseGB)), MaxAllocatedStorage: num(10 * c.DatabaseGB),
		MultiAz: yes(), PubliclyAccessible: no(),
		StorageEncrypted: yes(), KmsKeyId: d.key.KeyArn(),
		// RDS keeps and rotates the master's password; only migrations use it. Services come with IAM's tokens.
		MasterUsername: str(databaseMaster), ManageMasterUserPassword: yes(),
		MasterUserSecret:                &awsrds.CfnDBInstance_MasterUserSecretProperty{KmsKeyId: d.key.KeyArn()},
		EnableIamDatabaseAuthentication: yes(),
		DbSubnetGroupName:               subnets.Ref(), VpcSecurityGroups: &[]any{n.database.SecurityGroupId()}, DbParameterGroupName: parameters.Ref(),
		BackupRetentionPeriod: num(14), PreferredBackupWindow: str("01:00-02:00"), PreferredMaintenanceWindow: str("sun:02:30-sun:03:30"),
		CopyTagsToSnapshot: yes(), DeletionProtection: yes(), DeleteAutomatedBackups: no(),
		EnablePerformanceInsights: yes(), PerformanceInsightsKmsKeyId: d.key.KeyArn(), PerformanceInsightsRetentionPeriod: num(7),
		MonitoringInterval: num(60), MonitoringRoleArn: monitoring.RoleArn(),
		EnableCloudwatchLogsExports: strs("postgresql", "upgrade"), CaCertificateIdentifier: str("rds-ca-rsa2048-g1"),
	})
	d.database.ApplyRemovalPolicy(awscdk.RemovalPolicy_SNAPSHOT, nil)
}
