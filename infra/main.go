// Command infra synthesizes Carasso's stacks on AWS. `cdk` runs it; infra/README.md says how to deploy.
//
//	Network ─► Data ─► Platform ─► Services (Fargate or Beanstalk) ─► Watch
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

func main() {
	if err := synthesize(); err != nil {
		fmt.Fprintln(os.Stderr, "infra:", err)
		os.Exit(1)
	}
}

func synthesize() error {
	defer jsii.Close()
	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: no()})
	c, err := newConfig(app)
	if err != nil {
		return err
	}
	newStacks(app, c)
	app.Synth(nil)
	return nil
}

func newStacks(app awscdk.App, c Config) {
	props := func(about string) *awscdk.StackProps {
		return &awscdk.StackProps{
			Env: &awscdk.Environment{Region: str(c.Region)}, Description: str(about), CrossRegionReferences: no(),
			Tags:        &map[string]*string{"project": str("carasso")},
			Synthesizer: awscdk.NewDefaultStackSynthesizer(&awscdk.DefaultStackSynthesizerProps{GenerateBootstrapVersionRule: no()}),
		}
	}
	n := newNetwork(app, c, props("Carasso: network and names"))
	d := newData(app, c, n, props("Carasso: what is kept"))
	p := newPlatform(app, c, n, d, props("Carasso: image, roles, migrations"))
	var i *ingress
	if c.Target == Beanstalk {
		i = newBeanstalk(app, c, n, d, p, props("Carasso: services on Elastic Beanstalk"))
	} else {
		i = newFargate(app, c, n, d, p, props("Carasso: services on Fargate"))
	}
	newWatch(app, c, d, p, i, props("Carasso: alarms and dashboards"))
}
