package awsclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Names are the resources to provision and how the queues behave.
type Names struct {
	Queue, DeadQueue, Bucket, Table string

	// Visibility is how long a received envelope stays invisible, in whole seconds.
	Visibility time.Duration
	// MaxReceive is how often an envelope is handed out before it is a dead letter.
	MaxReceive int
	// Retention and DeadRetention are how long undelivered envelopes are kept. SQS allows 14 days, the default:
	// what was accepted should outlive a long outage.
	Retention, DeadRetention time.Duration
	// MaxMessageBytes is the largest message that the queue takes, 1 KiB to 1 MiB.
	MaxMessageBytes int
}

// DefaultNames are those of the documentation and of LocalStack.
func DefaultNames() Names {
	return Names{
		Queue: "carasso-batches", DeadQueue: "carasso-dead", Bucket: "carasso-data", Table: "carasso-live",
		Visibility: 2 * time.Minute, MaxReceive: 5,
		Retention: 14 * 24 * time.Hour, DeadRetention: 14 * 24 * time.Hour,
		MaxMessageBytes: 1 << 20,
	}
}

// Resources are what Provision made.
type Resources struct {
	QueueURL, DeadQueueURL, Bucket, Table string
}

// Environment is what the carasso commands read.
func (r Resources) Environment() [][2]string {
	return [][2]string{
		{"CARASSO_QUEUE_URL", r.QueueURL},
		{"CARASSO_DEAD_QUEUE_URL", r.DeadQueueURL},
		{"CARASSO_BUCKET", r.Bucket},
		{"CARASSO_TABLE", r.Table},
	}
}

// Provision makes sure that the queues, the bucket and the table exist and are set up as names say. It may
// be repeated. It is for emulators and trials: in production infrastructure code owns them.
func Provision(ctx context.Context, c *Clients, names Names) (Resources, error) {
	r := Resources{Bucket: names.Bucket, Table: names.Table}
	queue, dead, err := ProvisionQueue(ctx, c, names)
	if err != nil {
		return r, err
	}
	r.QueueURL, r.DeadQueueURL = queue, dead
	if err := ProvisionBucket(ctx, c, names.Bucket); err != nil {
		return r, err
	}
	return r, ProvisionTable(ctx, c, names.Table)
}

// ProvisionQueue makes the queue and its dead-letter queue, and gives their URLs.
func ProvisionQueue(ctx context.Context, c *Clients, names Names) (queueURL, deadURL string, err error) {
	api := c.SQS()
	deadURL, err = ensureQueue(ctx, api, names.DeadQueue, map[string]string{
		"MessageRetentionPeriod": seconds(names.DeadRetention),
		"VisibilityTimeout":      seconds(names.Visibility),
	})
	if err != nil {
		return "", "", err
	}
	out, err := api.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &deadURL, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameQueueArn},
	})
	if err != nil {
		return "", "", fmt.Errorf("awsclient: ARN of queue %s: %w", names.DeadQueue, err)
	}
	redrive, err := json.Marshal(map[string]string{
		"deadLetterTargetArn": out.Attributes[string(sqstypes.QueueAttributeNameQueueArn)],
		"maxReceiveCount":     strconv.Itoa(names.MaxReceive),
	})
	if err != nil {
		return "", "", fmt.Errorf("awsclient: redrive policy: %w", err)
	}
	queueURL, err = ensureQueue(ctx, api, names.Queue, map[string]string{
		"MessageRetentionPeriod": seconds(names.Retention),
		"VisibilityTimeout":      seconds(names.Visibility),
		"MaximumMessageSize":     strconv.Itoa(names.MaxMessageBytes),
		"RedrivePolicy":          string(redrive),
	})
	return queueURL, deadURL, err
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// ensureQueue creates the queue, or gives an existing one the attributes.
func ensureQueue(ctx context.Context, api *sqs.Client, name string, attributes map[string]string) (string, error) {
	created, err := api.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: maps.Clone(attributes)})
	if err == nil {
		return aws.ToString(created.QueueUrl), nil
	}
	var exists *sqstypes.QueueNameExists
	if !errors.As(err, &exists) {
		return "", fmt.Errorf("awsclient: create queue %s: %w", name, err)
	}
	found, err := api.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		return "", fmt.Errorf("awsclient: URL of queue %s: %w", name, err)
	}
	if _, err = api.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: found.QueueUrl, Attributes: attributes}); err != nil {
		return "", fmt.Errorf("awsclient: set up queue %s: %w", name, err)
	}
	return aws.ToString(found.QueueUrl), nil
}

// ProvisionBucket makes the bucket.
func ProvisionBucket(ctx context.Context, c *Clients, name string) error {
	in := &s3.CreateBucketInput{Bucket: &name}
	if region := c.Region(); region != "us-east-1" { // which the API does not accept as a constraint
		in.CreateBucketConfiguration = &s3types.CreateBucketConfiguration{
			LocationConstraint: s3types.BucketLocationConstraint(region),
		}
	}
	_, err := c.S3().CreateBucket(ctx, in)
	var owned *s3types.BucketAlreadyOwnedByYou
	if err != nil && !errors.As(err, &owned) {
		return fmt.Errorf("awsclient: create bucket %s: %w", name, err)
	}
	return nil
}

// ProvisionTable makes the live store's table, billed by request, with TableKey as its key and TableTTL as its
// time to live, and waits until it can be used.
func ProvisionTable(ctx context.Context, c *Clients, name string) error {
	api := c.DynamoDB()
	_, err := api.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:   &name,
		BillingMode: ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{
			{AttributeName: aws.String(TableKey), AttributeType: ddbtypes.ScalarAttributeTypeS},
		},
		KeySchema: []ddbtypes.KeySchemaElement{{AttributeName: aws.String(TableKey), KeyType: ddbtypes.KeyTypeHash}},
	})
	var exists *ddbtypes.ResourceInUseException
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("awsclient: create table %s: %w", name, err)
	}
	waiter := dynamodb.NewTableExistsWaiter(api, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = 100 * time.Millisecond })
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, 2*time.Minute); err != nil {
		return fmt.Errorf("awsclient: wait for table %s: %w", name, err)
	}
	ttl, err := api.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &name})
	if err != nil {
		return fmt.Errorf("awsclient: time to live of table %s: %w", name, err)
	}
	if d := ttl.TimeToLiveDescription; d != nil && aws.ToString(d.AttributeName) == TableTTL {
		return nil
	}
	_, err = api.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName: &name,
		TimeToLiveSpecification: &ddbtypes.TimeToLiveSpecification{
			AttributeName: aws.String(TableTTL), Enabled: aws.Bool(true),
		},
	})
	if err != nil {
		return fmt.Errorf("awsclient: set time to live of table %s: %w", name, err)
	}
	return nil
}

// The live store's key attribute (a string) and its time to live (a number, seconds since the epoch).
const (
	TableKey = "k"
	TableTTL = "expires"
)
