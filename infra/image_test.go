package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func read(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Where the root file system is read-only, the image's user may write temporary files all the same.
func TestTemporaryFiles(t *testing.T) {
	t.Parallel()
	if s := read(t, "../localstack/Dockerfile"); !strings.Contains(s, "\nVOLUME "+temporary+"\n") {
		t.Errorf("the image does not name %s as a volume: on Fargate it would belong to root", temporary)
	}
	if s := read(t, "beanstalk/docker-compose.yml"); !strings.Contains(s, "read_only: true") || !strings.Contains(s, `volumes: ["`+temporary+`"]`) {
		t.Errorf("on Beanstalk nobody may write to %s, or to everything", temporary)
	}
}

// A new image is a change of the environment's properties to Beanstalk, which runs other hooks for that than for a new bundle:
// both log in to the registry.
func TestHooks(t *testing.T) {
	t.Parallel()
	const bundle, login = "beanstalk/.platform", "prebuild/10_login.sh"
	deploy, change := read(t, bundle, "hooks", login), read(t, bundle, "confighooks", login)
	if deploy != change || !strings.Contains(deploy, "docker login") {
		t.Errorf("hooks/%s and confighooks/%[1]s differ, or do not log in", login)
	}
	for _, kind := range []string{"hooks", "confighooks"} {
		info, err := os.Stat(filepath.Join(bundle, kind, login))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o111 == 0 {
			t.Errorf("%s/%s may not be run", kind, login)
		}
	}
}
