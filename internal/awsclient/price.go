package awsclient

import (
	"math"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Classes of billed units.
const (
	classRequest = "request"
	classPut     = "put"
	classGet     = "get"
	classFree    = "free"
	classWrite   = "write_unit"
	classRead    = "read_unit"
)

const (
	sqsChunk  = 64 << 10 // https://aws.amazon.com/sqs/pricing: each 64 KB chunk of a payload is a request
	writeUnit = 1 << 10  // a write request unit writes up to 1 KB
	readUnit  = 4 << 10  // a strongly consistent read request unit reads up to 4 KB
)

// price is what one request is billed as. output is nil when the request failed, or when it
// is one of several attempts: then what is known from the input counts.
func price(input, output any) (class string, units float64) {
	switch in := input.(type) {
	case *sqs.SendMessageInput:
		return classRequest, chunks(messageSize(in.MessageBody, in.MessageAttributes), sqsChunk)
	case *sqs.SendMessageBatchInput:
		size := 0
		for _, e := range in.Entries {
			size += messageSize(e.MessageBody, e.MessageAttributes)
		}
		return classRequest, chunks(size, sqsChunk)
	case *sqs.ReceiveMessageInput:
		size := 0
		if out, ok := output.(*sqs.ReceiveMessageOutput); ok && out != nil {
			for _, msg := range out.Messages {
				size += messageSize(msg.Body, msg.MessageAttributes)
			}
		}
		return classRequest, chunks(size, sqsChunk)
	case *s3.GetObjectInput, *s3.HeadObjectInput, *s3.HeadBucketInput:
		return classGet, 1
	case *s3.DeleteObjectInput, *s3.DeleteObjectsInput, *s3.DeleteBucketInput:
		return classFree, 1
	case *s3.PutObjectInput, *s3.ListObjectsV2Input, *s3.CreateBucketInput:
		return classPut, 1
	case *dynamodb.PutItemInput:
		out, _ := output.(*dynamodb.PutItemOutput)
		if out != nil && out.ConsumedCapacity != nil {
			return classWrite, aws.ToFloat64(out.ConsumedCapacity.CapacityUnits)
		}
		return classWrite, chunks(itemSize(in.Item), writeUnit)
	case *dynamodb.DeleteItemInput:
		if out, ok := output.(*dynamodb.DeleteItemOutput); ok && out != nil && out.ConsumedCapacity != nil {
			return classWrite, aws.ToFloat64(out.ConsumedCapacity.CapacityUnits)
		}
		return classWrite, 1
	case *dynamodb.GetItemInput:
		out, _ := output.(*dynamodb.GetItemOutput)
		if out == nil {
			return classRead, 1
		}
		if out.ConsumedCapacity != nil {
			return classRead, aws.ToFloat64(out.ConsumedCapacity.CapacityUnits)
		}
		units := chunks(itemSize(out.Item), readUnit)
		if !aws.ToBool(in.ConsistentRead) {
			units /= 2
		}
		return classRead, units
	}
	return classRequest, 1
}

// chunks is how many units of size bytes n bytes fill, at least one.
func chunks(n, size int) float64 { return math.Max(1, math.Ceil(float64(n)/float64(size))) }

// messageSize is the payload that SQS counts: body, and each attribute's name, type and value.
func messageSize(body *string, attributes map[string]sqstypes.MessageAttributeValue) int {
	size := len(aws.ToString(body))
	for name, a := range attributes {
		size += len(name) + len(aws.ToString(a.DataType)) + len(a.BinaryValue) + len(aws.ToString(a.StringValue))
	}
	return size
}

// itemSize is about the size that DynamoDB counts: names and values of flat items.
func itemSize(item map[string]ddbtypes.AttributeValue) int {
	size := 0
	for name, value := range item {
		size += len(name)
		switch v := value.(type) {
		case *ddbtypes.AttributeValueMemberS:
			size += len(v.Value)
		case *ddbtypes.AttributeValueMemberB:
			size += len(v.Value)
		case *ddbtypes.AttributeValueMemberN:
			size += len(v.Value)/2 + 2
		default:
			size++
		}
	}
	return size
}
