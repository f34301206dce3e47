// Package s3 is the object store on Amazon S3.
package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// API is what the adapter uses of *s3.Client.
type API interface {
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	DeleteObject(context.Context, *s3.DeleteObjectInput, ...func(*s3.Options)) (*s3.DeleteObjectOutput, error)
	ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
}

// Config says where objects are kept.
type Config struct {
	// Bucket is required.
	Bucket string
	// MaxObjectBytes bounds what Get reads into memory; default 512 MiB.
	MaxObjectBytes int64
}

// Store is one general purpose bucket, which is strongly consistent. It is safe for concurrent use and has no goroutines.
type Store struct {
	api API
	cfg Config
}

// ErrInvalidKey means that a key is not 1 to 512 bytes of [a-zA-Z0-9/_.:=-], in segments that are not empty and
// do not begin with a dot.
var ErrInvalidKey = errors.New("s3: invalid key")

// New uses an existing bucket.
func New(api API, cfg Config) (*Store, error) {
	if cfg.MaxObjectBytes == 0 {
		cfg.MaxObjectBytes = 512 << 20
	}
	switch {
	case cfg.Bucket == "":
		return nil, errors.New("s3: Bucket is empty")
	case cfg.MaxObjectBytes < 1:
		return nil, fmt.Errorf("s3: MaxObjectBytes is %d, want at least 1", cfg.MaxObjectBytes)
	}
	return &Store{api: api, cfg: cfg}, nil
}

// Put creates or replaces the object and returns when it is durable; readers see all of it or nothing. body is
// not kept. An empty contentEncoding is left out.
func (s *Store) Put(ctx context.Context, key string, body []byte, contentType, contentEncoding string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	in := &s3.PutObjectInput{Bucket: &s.cfg.Bucket, Key: &key, Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body)))}
	if contentType != "" {
		in.ContentType = &contentType
	}
	if contentEncoding != "" {
		in.ContentEncoding = &contentEncoding
	}
	if _, err := s.api.PutObject(ctx, in); err != nil {
		return fmt.Errorf("s3: put %s: %w", key, err)
	}
	return nil
}

// Get is the object as it was put, still encoded. errors.Is(err, fs.ErrNotExist) when it is absent.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	out, err := s.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.cfg.Bucket, Key: &key})
	var absent *types.NoSuchKey
	switch {
	case errors.As(err, &absent):
		return nil, fmt.Errorf("s3: get %s: %w", key, fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("s3: get %s: %w", key, err)
	}
	defer func() { _ = out.Body.Close() }()
	size := aws.ToInt64(out.ContentLength)
	if size < 0 || size > s.cfg.MaxObjectBytes {
		return nil, fmt.Errorf("s3: get %s: has %d bytes, want at most %d", key, size, s.cfg.MaxObjectBytes)
	}
	// Reading one byte more than is announced reaches the end, where the checksum is verified.
	body := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if n, err := body.ReadFrom(io.LimitReader(out.Body, size+1)); err != nil {
		return nil, fmt.Errorf("s3: get %s: after %d of %d bytes: %w", key, n, size, err)
	} else if n != size {
		return nil, fmt.Errorf("s3: get %s: %w: %d bytes announced", key, io.ErrUnexpectedEOF, size)
	}
	return body.Bytes(), nil
}

// Delete removes the object; an absent one is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if _, err := s.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.cfg.Bucket, Key: &key}); err != nil {
		return fmt.Errorf("s3: delete %s: %w", key, err)
	}
	return nil
}

// List calls each for every object whose key begins with prefix, in the order of the keys' bytes, until each returns
// an error, which List returns. It asks for 1,000 keys at a time, so each may take its time.
func (s *Store) List(ctx context.Context, prefix string, each func(key string, size int64, modified time.Time) error) error {
	in := &s3.ListObjectsV2Input{Bucket: &s.cfg.Bucket}
	if prefix != "" {
		in.Prefix = &prefix
	}
	pages := s3.NewListObjectsV2Paginator(s.api, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("s3: list %s: %w", prefix, err)
		}
		for _, o := range page.Contents {
			if err := each(aws.ToString(o.Key), aws.ToInt64(o.Size), aws.ToTime(o.LastModified)); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkKey(key string) error {
	if key == "" || len(key) > 512 {
		return fmt.Errorf("%w: has %d bytes, want 1 to 512", ErrInvalidKey, len(key))
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment[0] == '.' {
			return fmt.Errorf("%w: %q has a segment that is empty or begins with a dot", ErrInvalidKey, key)
		}
	}
	for _, c := range []byte(key) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("/_.:=-", rune(c)) {
			return fmt.Errorf("%w: %q has the byte %#x", ErrInvalidKey, key, c)
		}
	}
	return nil
}
