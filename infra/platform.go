package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
)

// platform is what must be there before the services: the image's repository, the cluster, and the task that migrates
// the database. It is the same for both targets, which share the migration.
type platform struct {
	stack      awscdk.Stack
	repository awsecr.Repository
	cluster    awsecs.Cluster
	tag        awscdk.CfnParameter
	logs       map[string]awslogs.LogGroup
	roles      map[string]awsiam.Role // of tasks, by service
	execution  map[string]awsiam.Role
	masterKey  map[string]awsecs.Secret // by service that knows it
}

// services are the processes that run from the one image.
const (
	receiver   = "receiver"
	worker     = "worker"
	management = "management"
	jobs       = "jobs"
	migrate    = "migrate"
)

func imageTag(s awscdk.Stack) awscdk.CfnParameter {
	return awscdk.NewCfnParameter(s, str("ImageTag"), &awscdk.CfnParameterProps{
		Type: str("String"), Description: str("Tag of the image in the repository; tags never move"), AllowedPattern: str("[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"),
	})
}

func newPlatform(app awscdk.App, c Config, n *network, d *data, props *awscdk.StackProps) *platform {
	p := &platform{
		stack: awscdk.NewStack(app, str("Carasso-Platform"), props),
		logs:  map[string]awslogs.LogGroup{}, roles: map[string]awsiam.Role{}, execution: map[string]awsiam.Role{},
		masterKey: map[string]awsecs.Secret{},
	}
	p.repository = awsecr.NewRepository(p.stack, str("Images"), &awsecr.RepositoryProps{
		RepositoryName: str("carasso"), ImageScanOnPush: yes(), ImageTagMutability: awsecr.TagMutability_IMMUTABLE,
		Encryption: awsecr.RepositoryEncryption_KMS(),
		// Images can be built again; a repository that stays would be in the way of the next one of its name.
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY, EmptyOnDelete: yes(),
		LifecycleRules: &[]*awsecr.LifecycleRule{{Description: str("Keep the last 50"), MaxImageCount: num(50)}},
	})
	p.cluster = awsecs.NewCluster(p.stack, str("Cluster"), &awsecs.ClusterProps{
		Vpc: n.vpc, ClusterName: str("carasso"),
		ContainerInsightsV2: awsecs.ContainerInsights_ENABLED, // counts tasks, which the backlog is divided by
	})
	p.tag = imageTag(p.stack)
	for _, name := range []string{receiver, worker, management, jobs, migrate} {
		p.logs[name] = awslogs.NewLogGroup(p.stack, str(title(name)+"Log"), &awslogs.LogGroupProps{
			LogGroupName: str("/carasso/" + name), Retention: awslogs.RetentionDays_ONE_MONTH, RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
			EncryptionKey: d.key,
		})
		if c.Target == Fargate || name == migrate { // Beanstalk's instances have one role, which also starts the process
			p.executionRole(name)
		}
		p.taskRole(name, c, d)
	}
	if c.Target == Fargate {
		for _, name := range []string{receiver, management, jobs} {
			// By its ARN: granting to a role of this stack would change the key's policy in the other.
			p.masterKey[name] = p.secret(name, awssecretsmanager.Secret_FromSecretCompleteArn(p.stack, str(title(name)+"MasterKey"), d.master.SecretArn()), "", d)
		}
	}
	task := p.task(p.stack, migrate, jobsSize, d, p.tag, environment{
		"AWS_REGION": *awscdk.Aws_REGION(), "CARASSO_DATABASE_URL": databaseURL(d), "CARASSO_DATABASE_AUTH": "iam", "CARASSO_APP_ROLE": databaseUser,
		"PGHOST": *d.database.AttrEndpointAddress(), "PGUSER": databaseMaster,
	}, map[string]awsecs.Secret{
		"PGPASSWORD": p.secret(migrate, awssecretsmanager.Secret_FromSecretAttributes(p.stack, str("DatabaseMaster"), &awssecretsmanager.SecretAttributes{
			SecretCompleteArn: d.database.GetAtt(str("MasterUserSecret.SecretArn"), awscdk.ResolutionTypeHint_STRING).ToString(),
		}), "password", d),
	})
	output(p.stack, "Repository", p.repository.RepositoryUri(), str("Push the image here"))
	output(p.stack, "MigrationTask", task.TaskDefinitionArn(), str("Run once before services of a new version (infra/deploy does)"))
	output(p.stack, "MigrationSubnets", awscdk.Fn_Join(str(","), n.vpc.SelectSubnets(in(jobsSubnets)).SubnetIds), str("Where it runs"))
	output(p.stack, "MigrationGroup", n.jobs.SecurityGroupId(), str("Its security group"))
	return p
}

// databaseURL leaves host and user to PGHOST and PGUSER. The server's certificate is checked against RDS's CAs, which
// the image carries.
func databaseURL(*data) string {
	return "dbname=" + databaseName + " sslmode=verify-full sslrootcert=/certs/rds.pem"
}
