// Package dynamo is the live store on Amazon DynamoDB: one table, one item a key.
package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// MaxValue is the largest value in bytes.
const MaxValue = 64 << 10

// The table's attributes. The first and the last are known to whoever makes the table.
const (
	attrKey     = "k"       // S
	attrValue   = "v"       // B
	attrVersion = "n"       // N
	attrWrite   = "w"       // S: which call wrote it
	attrExpires = "expires" // N: seconds since the epoch; the table's time to live
)

// Errors of arguments.
var (
	// ErrInvalidKey means that a key is not 1 to 200 bytes of [a-zA-Z0-9/_.:-].
	ErrInvalidKey = errors.New("dynamo: invalid key")
	// ErrInvalidItem means that value, version or time to live is out of range.
	ErrInvalidItem = errors.New("dynamo: invalid item")
)

// API is what the adapter uses of *dynamodb.Client.
type API interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
}

// Store keeps small items under version conditions. Reads are strongly consistent. DynamoDB deletes expired items
// when it likes (within days): here they are absent from the second in which they expire, to reads and conditions
// alike, by this machine's clock. It is safe for concurrent use and has no goroutines.
type Store struct {
	api   API
	table string
	now   func() time.Time
}

// New uses an existing table, with the string key "k" and "expires" as its time to live.
func New(api API, table string) (*Store, error) {
	if table == "" {
		return nil, errors.New("dynamo: table is empty")
	}
	return &Store{api: api, table: table, now: time.Now}, nil
}

// Get is the item's value and version; errors.Is(err, fs.ErrNotExist) when it is absent or expired.
func (s *Store) Get(ctx context.Context, key string) (value []byte, version int64, err error) {
	if err := checkKey(key); err != nil {
		return nil, 0, err
	}
	out, err := s.api.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.table, Key: keyOf(key), ConsistentRead: aws.Bool(true),
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	if err != nil {
		return nil, 0, fmt.Errorf("dynamo: get %s: %w", key, err)
	}
	expires, err := integer(out.Item, attrExpires)
	if err != nil {
		return nil, 0, fmt.Errorf("dynamo: get %s: %w", key, err)
	}
	if out.Item == nil || expires != 0 && expires <= s.now().Unix() {
		return nil, 0, fmt.Errorf("dynamo: get %s: %w", key, fs.ErrNotExist)
	}
	if version, err = integer(out.Item, attrVersion); err != nil {
		return nil, 0, fmt.Errorf("dynamo: get %s: %w", key, err)
	}
	if v, ok := out.Item[attrValue].(*types.AttributeValueMemberB); ok {
		value = v.Value
	}
	return value, version, nil
}

// PutIfNewer writes the item and reports true if it is absent, expired or of a lower version; otherwise it changes
// nothing and reports false. version is not negative. The item expires ttl from now on, rounded up to a second; never
// if ttl is 0. An item over 1 KiB costs a write unit per KiB.
func (s *Store) PutIfNewer(ctx context.Context, key string, version int64, value []byte, ttl time.Duration) (bool, error) {
	if version < 0 {
		return false, fmt.Errorf("%w: version is %d", ErrInvalidItem, version)
	}
	return s.put(ctx, key, version, value, ttl, "attribute_not_exists(#k) OR #n < :n OR #x <= :now")
}

// Create writes the item with version 0 and reports true if it is absent or expired, else false.
func (s *Store) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (created bool, err error) {
	return s.put(ctx, key, 0, value, ttl, "attribute_not_exists(#k) OR #x <= :now")
}

// Delete removes the item; an absent one is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	_, err := s.api.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &s.table, Key: keyOf(key), ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	if err != nil {
		return fmt.Errorf("dynamo: delete %s: %w", key, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, key string, version int64, value []byte, ttl time.Duration, condition string) (bool, error) {
	if err := checkKey(key); err != nil {
		return false, err
	}
	if len(value) > MaxValue {
		return false, fmt.Errorf("%w: value has %d bytes, want at most %d", ErrInvalidItem, len(value), MaxValue)
	}
	if ttl < 0 {
		return false, fmt.Errorf("%w: time to live is %v", ErrInvalidItem, ttl)
	}
	now := s.now()
	write := rand.Text()
	in := &dynamodb.PutItemInput{
		TableName: &s.table,
		Item: map[string]types.AttributeValue{
			attrKey: &types.AttributeValueMemberS{Value: key}, attrValue: &types.AttributeValueMemberB{Value: value},
			attrVersion: number(version), attrWrite: &types.AttributeValueMemberS{Value: write},
		},
		ConditionExpression:       &condition,
		ExpressionAttributeNames:  map[string]string{"#k": attrKey, "#x": attrExpires},
		ExpressionAttributeValues: map[string]types.AttributeValue{":now": number(now.Unix())},
		ReturnConsumedCapacity:    types.ReturnConsumedCapacityTotal,
		// So that a repetition after a lost answer recognises its own work.
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	if strings.Contains(condition, "#n") {
		in.ExpressionAttributeNames["#n"] = attrVersion
		in.ExpressionAttributeValues[":n"] = number(version)
	}
	if ttl > 0 {
		in.Item[attrExpires] = number(now.Add(ttl + time.Second - 1).Unix())
	}
	_, err := s.api.PutItem(ctx, in)
	var refused *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &refused):
		by, ok := refused.Item[attrWrite].(*types.AttributeValueMemberS)
		return ok && by.Value == write, nil
	case err != nil:
		return false, fmt.Errorf("dynamo: put %s: %w", key, err)
	}
	return true, nil
}

func keyOf(key string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{attrKey: &types.AttributeValueMemberS{Value: key}}
}

func number(n int64) *types.AttributeValueMemberN {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// integer is the item's attribute; 0 if it has none.
func integer(item map[string]types.AttributeValue, name string) (int64, error) {
	n, ok := item[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0, nil
	}
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("attribute %s: %w", name, err)
	}
	return v, nil
}

func checkKey(key string) error {
	if key == "" || len(key) > 200 {
		return fmt.Errorf("%w: has %d bytes, want 1 to 200", ErrInvalidKey, len(key))
	}
	for _, c := range []byte(key) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("/_.:-", rune(c)) {
			return fmt.Errorf("%w: %q has the byte %#x", ErrInvalidKey, key, c)
		}
	}
	return nil
}
