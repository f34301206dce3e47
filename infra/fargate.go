package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapplicationautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"

	"github.com/carasso/carasso/internal/scaling"
)

// parameters are what a deployment tells the services.
type parameters struct{ tag, jwtKey, country, publisher awscdk.CfnParameter }

func newParameters(s awscdk.Stack) parameters {
	text := func(id, about, pattern string, otherwise *string) awscdk.CfnParameter {
		p := &awscdk.CfnParameterProps{Type: str("String"), Description: str(about), AllowedPattern: str(pattern)}
		if otherwise != nil {
			p.Default = otherwise
		}
		return awscdk.NewCfnParameter(s, str(id), p)
	}
	return parameters{
		tag:       imageTag(s),
		jwtKey:    text("JwtPublicKey", "Public Ed25519 key (PEM) that credentials are signed with; its private half never comes here", `-----BEGIN PUBLIC KEY-----[\sA-Za-z0-9+/=]+-----END PUBLIC KEY-----\s*`, nil),
		country:   text("DatexCountry", "Country of the publisher in the DATEX II feed", "[a-z]{2}", str("zz")),
		publisher: text("DatexPublisher", "National identifier of the publisher there", "[A-Za-z0-9_-]{1,32}", str("CARASSO")),
	}
}

// environments are what each service is told; both targets use them.
func (p parameters) environments(c Config, d *data) map[string]environment {
	identity := func(e environment) environment {
		e["CARASSO_JWT_KEYS"] = *p.jwtKey.ValueAsString()
		return e
	}
	all := map[string]environment{
		receiver:   identity(common(d)),
		worker:     common(d).withDatabase(d),
		management: identity(common(d).withDatabase(d)),
		jobs:       common(d).withDatabase(d),
	}
	all[receiver]["CARASSO_CLIENT_CERT_HEADER"] = leafHeader
	all[management]["CARASSO_DATEX_COUNTRY"] = *p.country.ValueAsString()
	all[management]["CARASSO_DATEX_PUBLISHER"] = *p.publisher.ValueAsString()
	if c.OIDCIssuer != "" {
		all[management]["CARASSO_OIDC_ISSUER"], all[management]["CARASSO_OIDC_AUDIENCE"] = c.OIDCIssuer, c.OIDCAudience
	}
	all[jobs]["CARASSO_TASK_PROTECTION"] = "ecs"
	return all
}

// fargate runs the services on ECS.
type fargate struct {
	stack    awscdk.Stack
	services map[string]awsecs.FargateService
	scaled   map[string]awsapplicationautoscaling.CfnScalableTarget
}

func newFargate(app awscdk.App, c Config, n *network, d *data, p *platform, props *awscdk.StackProps) *ingress {
	f := &fargate{
		stack:    awscdk.NewStack(app, str("Carasso-Services"), props),
		services: map[string]awsecs.FargateService{}, scaled: map[string]awsapplicationautoscaling.CfnScalableTarget{},
	}
	i := newIngress(f.stack, c, n, d)
	parameters := newParameters(f.stack)
	environments := parameters.environments(c, d)
	run := func(name string, size size, group awsec2.SecurityGroup, subnets string, least float64, targets elb.ApplicationTargetGroup) awsecs.FargateService {
		secrets := map[string]awsecs.Secret{}
		if name != worker {
			secrets["CARASSO_MASTER_KEY"] = p.masterKey[name]
		}
		s := awsecs.NewFargateService(f.stack, str(title(name)), &awsecs.FargateServiceProps{
			Cluster: p.cluster, ServiceName: str("carasso-" + name), PlatformVersion: awsecs.FargatePlatformVersion_LATEST,
			TaskDefinition: p.task(f.stack, name, size, d, parameters.tag, environments[name], secrets),
			VpcSubnets:     in(subnets), SecurityGroups: &[]awsec2.ISecurityGroup{group}, AssignPublicIp: no(),
			DesiredCount:      num(least),                            // at the first deployment; scaling keeps its own afterwards, see below
			MinHealthyPercent: num(100), MaxHealthyPercent: num(200), // of workers: below
			CircuitBreaker:       &awsecs.DeploymentCircuitBreaker{Enable: yes(), Rollback: yes()},
			DeploymentController: &awsecs.DeploymentController{Type: awsecs.DeploymentControllerType_ECS},
			EnableECSManagedTags: yes(), PropagateTags: awsecs.PropagatedTagSource_SERVICE,
		})
		f.services[name] = s
		if targets != nil {
			s.Node().DefaultChild().(awsecs.CfnService).SetHealthCheckGracePeriodSeconds(num(60))
			targets.AddTarget(s)
		}
		return s
	}
	run(receiver, receiverSize, n.receiver, receiverSubnets, minReceivers, i.receiver)
	run(worker, workerSize, n.worker, workerSubnets, minWorkers, nil)
	run(management, managementSize, n.management, managementSubnets, scaling.MinManagement, i.management)
	run(jobs, jobsSize, n.jobs, jobsSubnets, scaling.JobTasks, nil)
	for _, name := range []string{receiver, worker, management} {
		// Without a count, an update leaves the number that scaling has found.
		f.services[name].Node().DefaultChild().(awsecs.CfnService).SetDesiredCount(nil)
	}
	for name, s := range f.services {
		rolls := s.Node().DefaultChild().(awsecs.CfnService)
		rebalances := "DISABLED"
		switch name {
		case receiver, management:
			rebalances = "ENABLED" // after a zone has failed
		case worker:
			// The database has connections for no more than maxWorkers, so that old and new ones are never beside each other in full number.
			// The queue holds what half of them leave for a minute. ECS rebalances no such service.
			rolls.AddPropertyOverride(str("DeploymentConfiguration.MinimumHealthyPercent"), 50)
			rolls.AddPropertyOverride(str("DeploymentConfiguration.MaximumPercent"), 100)
		}
		rolls.SetAvailabilityZoneRebalancing(str(rebalances))
	}
	f.autoscaling(d, p, i)
	return i
}
