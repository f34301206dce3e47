package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
)

type environment map[string]string

// common is the environment of every service.
func common(d *data) environment {
	return environment{
		"AWS_REGION":             *awscdk.Aws_REGION(),
		"CARASSO_LISTEN":         ":8080",
		"CARASSO_LAME_DUCK":      lameDuck.String(),
		"CARASSO_LOG_FORMAT":     "json",
		"CARASSO_METRICS":        "emf",
		"CARASSO_QUEUE_URL":      *d.queue.QueueUrl(),
		"CARASSO_DEAD_QUEUE_URL": *d.dead.QueueUrl(),
		"CARASSO_BUCKET":         *d.raw.BucketName(),
		"CARASSO_TILE_BUCKET":    *d.tiles.BucketName(),
		"CARASSO_TABLE":          *d.live.TableName(),
	}
}

// withDatabase adds what PostgreSQL's clients need: no password, they come with tokens.
func (e environment) withDatabase(d *data) environment {
	e["CARASSO_DATABASE_URL"] = databaseURL(d)
	e["CARASSO_DATABASE_AUTH"] = "iam"
	e["CARASSO_MIGRATIONS"] = "wait"
	e["PGHOST"], e["PGUSER"] = *d.database.AttrEndpointAddress(), databaseUser
	return e
}

// temporary is the one folder that processes may write to.
const temporary = "/tmp"

// task is a service's task: one container, whose root file system is read-only and whose user is the image's, 65532.
func (p *platform) task(s awscdk.Stack, name string, size size, d *data, tag awscdk.CfnParameter, env environment, secrets map[string]awsecs.Secret) awsecs.FargateTaskDefinition {
	t := awsecs.NewFargateTaskDefinition(s, str(title(name)+"Task"), &awsecs.FargateTaskDefinitionProps{
		Family: str("carasso-" + name), Cpu: num(size.CPU), MemoryLimitMiB: num(size.MiB),
		TaskRole: p.roles[name].WithoutPolicyUpdates(nil), ExecutionRole: p.execution[name].WithoutPolicyUpdates(nil),
		RuntimePlatform: &awsecs.RuntimePlatform{
			CpuArchitecture: awsecs.CpuArchitecture_ARM64(), OperatingSystemFamily: awsecs.OperatingSystemFamily_LINUX(),
		},
	})
	variables := map[string]*string{}
	for _, k := range sorted(env) {
		variables[k] = str(env[k])
	}
	props := &awsecs.ContainerDefinitionOptions{
		ContainerName: str(name), Image: awsecs.ContainerImage_FromEcrRepository(p.repository, tag.ValueAsString()),
		Command: strs(name), Environment: &variables, Secrets: &secrets, Essential: yes(), ReadonlyRootFilesystem: yes(), User: str("65532"),
		MemoryLimitMiB: num(size.MiB),
		Logging: awsecs.LogDrivers_AwsLogs(&awsecs.AwsLogDriverProps{
			LogGroup: p.logs[name], StreamPrefix: str(name),
			Mode: awsecs.AwsLogDriverMode_NON_BLOCKING, MaxBufferSize: awscdk.Size_Mebibytes(num(25)), // a slow log must not stop cars
		}),
	}
	if name != migrate {
		props.StopTimeout = lasting(stopTimeout)
		props.PortMappings = &[]*awsecs.PortMapping{{ContainerPort: num(servicePort)}}
		props.HealthCheck = &awsecs.HealthCheck{
			// Alive, not ready: a database that is away must not restart those who wait for it.
			Command:  strs("CMD", "/usr/local/bin/carasso", "healthcheck", "--url", "http://127.0.0.1:8080/healthz"),
			Interval: awscdk.Duration_Seconds(num(10)), Timeout: awscdk.Duration_Seconds(num(5)), Retries: num(3), StartPeriod: awscdk.Duration_Seconds(num(60)),
		}
	}
	container := t.AddContainer(str("Container"), props)
	if name == jobs { // a release's archive is put together in a file
		t.AddVolume(&awsecs.Volume{Name: str("tmp")}) // the image says whose it is
		container.AddMountPoints(&awsecs.MountPoint{SourceVolume: str("tmp"), ContainerPath: str(temporary), ReadOnly: no()})
	}
	return t
}
