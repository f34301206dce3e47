package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
)

// Targets of the compute stack.
const (
	Fargate   = "fargate"
	Beanstalk = "beanstalk"
)

// Config is what a deployment chooses: the context of cdk.json and `cdk -c key=value`. What the product itself
// fixes is in sizes.go.
type Config struct {
	// Target runs the services: Fargate or Beanstalk.
	Target string
	// Region and the Zones in it, three. Explicit, so that a template needs no look-up.
	Region string
	Zones  []string
	// Domain is the hosted zone that the stack makes; cars. and portal. are in it.
	Domain string
	// ClientCA is a PEM file with the CA of vehicles' client certificates. Without it there is no mTLS listener.
	ClientCA string
	// Gateways are the networks (CIDR) of makers' telematics gateways, which send for many vehicles: no rate rule.
	Gateways []string
	// OIDCIssuer and OIDCAudience are the provider that people come with tokens of. Without them people need
	// tokens signed with the deployment's key.
	OIDCIssuer, OIDCAudience string
	// AlarmEmail is told of alarms. Without it the topic has no subscriber.
	AlarmEmail string
	// DatabaseClass and DatabaseGB size PostgreSQL.
	DatabaseClass string
	DatabaseGB    float64
	// DockerPlatform is the version of Beanstalk's Docker platform.
	DockerPlatform string
}

func newConfig(app awscdk.App) (Config, error) {
	text := func(key, otherwise string) string {
		if v, ok := app.Node().TryGetContext(&key).(string); ok && v != "" {
			return v
		}
		return otherwise
	}
	list := func(key, otherwise string) []string {
		return strings.FieldsFunc(text(key, otherwise), func(r rune) bool { return r == ',' || r == ' ' })
	}
	region := text("region", "eu-central-1")
	c := Config{
		Target: text("target", Fargate), Region: region,
		Zones:  list("zones", region+"a,"+region+"b,"+region+"c"),
		Domain: text("domain", "carasso.example.com"), ClientCA: text("clientCA", ""),
		Gateways: list("gateways", ""), AlarmEmail: text("alarmEmail", ""),
		OIDCIssuer: text("oidcIssuer", ""), OIDCAudience: text("oidcAudience", ""),
		DatabaseClass: text("databaseClass", databaseClass), DatabaseGB: databaseGB,
		DockerPlatform: text("dockerPlatform", dockerPlatform),
	}
	return c, c.Validate()
}

var domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$`)

var platformVersion = regexp.MustCompile(`^4(\.[0-9]+){2}$`)

// Validate names all that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.Target != Fargate && c.Target != Beanstalk {
		errs = append(errs, fmt.Errorf("target %q: expected %s or %s", c.Target, Fargate, Beanstalk))
	}
	zones := slices.Clone(c.Zones)
	slices.Sort(zones)
	if len(slices.Compact(zones)) != 3 || len(c.Zones) != 3 {
		errs = append(errs, fmt.Errorf("zones %q: expected three different ones", c.Zones))
	}
	for _, z := range c.Zones {
		if !strings.HasPrefix(z, c.Region) {
			errs = append(errs, fmt.Errorf("zone %q is not in region %q", z, c.Region))
		}
	}
	if !domainName.MatchString(c.Domain) {
		errs = append(errs, fmt.Errorf("domain %q: expected a name such as carasso.example.com", c.Domain))
	}
	if !platformVersion.MatchString(c.DockerPlatform) {
		errs = append(errs, fmt.Errorf("dockerPlatform %q: expected a version such as %s", c.DockerPlatform, dockerPlatform))
	}
	if (c.OIDCIssuer == "") != (c.OIDCAudience == "") {
		errs = append(errs, errors.New("oidcIssuer and oidcAudience: expected both or neither"))
	}
	return errors.Join(errs...)
}
