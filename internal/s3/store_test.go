package s3_test

import (
	"errors"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"

	"github.com/carasso/carasso/internal/awsclient/awstest"
	"github.com/carasso/carasso/internal/objecttest"
	"github.com/carasso/carasso/internal/s3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	objecttest.Run(t, func(t *testing.T) objecttest.Store {
		t.Helper()
		c := awstest.Clients(t)
		store, err := s3.New(c.S3(), s3.Config{Bucket: awstest.Bucket(t, c)})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}, objecttest.Options{})
}

func TestPutKeepsTypeAndEncoding(t *testing.T) {
	t.Parallel()
	c := awstest.Clients(t)
	bucket := awstest.Bucket(t, c)
	store, err := s3.New(c.S3(), s3.Config{Bucket: bucket})
	if err != nil {
		t.Fatal(err)
	}
	key := "tiles/roads/14/1/2/v1.mvt.gz"
	if err := store.Put(t.Context(), key, []byte("tile"), "application/vnd.mapbox-vector-tile", "gzip"); err != nil {
		t.Fatal(err)
	}
	head, err := c.S3().HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	if *head.ContentType != "application/vnd.mapbox-vector-tile" || *head.ContentEncoding != "gzip" {
		t.Errorf("type %q, encoding %q", *head.ContentType, *head.ContentEncoding)
	}
}

func TestGetIsBounded(t *testing.T) {
	t.Parallel()
	c := awstest.Clients(t)
	store, err := s3.New(c.S3(), s3.Config{Bucket: awstest.Bucket(t, c), MaxObjectBytes: 10})
	if err != nil {
		t.Fatal(err)
	}
	for size, ok := range map[int]bool{10: true, 11: false} {
		if err := store.Put(t.Context(), "key", make([]byte, size), "", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Get(t.Context(), "key"); (err == nil) != ok {
			t.Errorf("Get of %d bytes: %v", size, err)
		}
	}
}

func TestInvalidKeysAreTheirOwnError(t *testing.T) {
	t.Parallel()
	store, err := s3.New(nil, s3.Config{Bucket: "b"}) // refused before any request
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), "../up"); !errors.Is(err, s3.ErrInvalidKey) {
		t.Errorf("Get = %v, want ErrInvalidKey", err)
	}
	if _, err := s3.New(nil, s3.Config{}); err == nil {
		t.Error("New without a bucket returned no error")
	}
}
