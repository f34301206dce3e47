package awsclient

import (
	"net/url"
	"testing"
)

func TestDatabaseToken(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	c, err := Load(t.Context(), Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	token, err := c.DatabaseToken(t.Context(), "db.example.eu-central-1.rds.amazonaws.com:5432", "carasso")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse("https://" + token)
	if err != nil || u.Host != "db.example.eu-central-1.rds.amazonaws.com:5432" || u.Path != "/" {
		t.Fatalf("%s (%v)", token, err)
	}
	q := u.Query()
	for name, want := range map[string]string{"Action": "connect", "DBUser": "carasso", "X-Amz-Expires": "900", "X-Amz-SignedHeaders": "host", "X-Amz-Algorithm": "AWS4-HMAC-SHA256"} {
		if q.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, q.Get(name), want)
		}
	}
	if len(q.Get("X-Amz-Signature")) != 64 {
		t.Errorf("no signature in %s", token)
	}
}
