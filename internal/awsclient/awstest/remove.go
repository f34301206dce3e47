package awstest

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/carasso/carasso/internal/awsclient"
)

// Remove deletes what awsclient.Provision made; the bucket with all that is in it. It is called from a cleanup.
func Remove(t *testing.T, c *awsclient.Clients, names awsclient.Names) {
	t.Helper()
	ctx, cancel := cleanupContext(t)
	defer cancel()
	for _, name := range []string{names.Queue, names.DeadQueue} {
		if out, err := c.SQS().GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name}); err != nil {
			t.Errorf("URL of queue %s: %v", name, err)
		} else {
			removeQueue(ctx, t, c, *out.QueueUrl)
		}
	}
	removeBucket(ctx, t, c, names.Bucket)
	removeTable(ctx, t, c, names.Table)
}

func removeQueue(ctx context.Context, t *testing.T, c *awsclient.Clients, url string) {
	t.Helper()
	if _, err := c.SQS().DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &url}); err != nil {
		t.Errorf("delete queue %s: %v", url, err)
	}
}

func removeBucket(ctx context.Context, t *testing.T, c *awsclient.Clients, name string) {
	t.Helper()
	api := c.S3()
	pages := s3.NewListObjectsV2Paginator(api, &s3.ListObjectsV2Input{Bucket: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Errorf("list bucket %s: %v", name, err)
			return
		}
		for _, o := range page.Contents {
			if _, err := api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &name, Key: o.Key}); err != nil {
				t.Errorf("delete %s from bucket %s: %v", *o.Key, name, err)
			}
		}
	}
	if _, err := api.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &name}); err != nil {
		t.Errorf("delete bucket %s: %v", name, err)
	}
}

func removeTable(ctx context.Context, t *testing.T, c *awsclient.Clients, name string) {
	t.Helper()
	if _, err := c.DynamoDB().DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
		t.Errorf("delete table %s: %v", name, err)
	}
}
