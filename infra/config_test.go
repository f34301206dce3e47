package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestConfigRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"target":       {func(c *Config) { c.Target = "lambda" }, "target"},
		"two zones":    {func(c *Config) { c.Zones = c.Zones[:2] }, "three"},
		"same zone":    {func(c *Config) { c.Zones[2] = c.Zones[0] }, "three"},
		"other region": {func(c *Config) { c.Zones[0] = "us-east-1a" }, "region"},
		"issuer":       {func(c *Config) { c.OIDCIssuer = "https://id.example.com" }, "oidcAudience"},
		"platform":     {func(c *Config) { c.DockerPlatform = "64bit Amazon Linux 2023 v4.13.10 running Docker" }, "dockerPlatform"},
		"domain":       {func(c *Config) { c.Domain = "https://carasso" }, "domain"},
	} {
		t.Run(name, func(t *testing.T) {
			ok := reviewed(Fargate)
			c.change(&ok)
			if err := ok.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error about %q", err, c.want)
			}
		})
	}
}
