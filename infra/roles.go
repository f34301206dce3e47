package main

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
)

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// executionRole starts a service's tasks: it pulls the image, opens the log and reads that service's secrets. The
// process itself never has it.
func (p *platform) executionRole(name string) {
	r := awsiam.NewRole(p.stack, str(title(name)+"Execution"), &awsiam.RoleProps{
		AssumedBy: ecsTasks(p.stack), Description: str("Starts tasks of " + name),
	})
	p.repository.GrantPull(r) // with ecr:GetAuthorizationToken, which knows no resources
	p.logs[name].GrantWrite(r)
	p.execution[name] = r
}

// ecsTasks may take a role only for tasks of this account.
func ecsTasks(s awscdk.Stack) awsiam.IPrincipal {
	return awsiam.NewServicePrincipal(str("ecs-tasks.amazonaws.com"), &awsiam.ServicePrincipalOpts{
		Conditions: &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": s.Account()}},
	})
}

// secret gives a service's tasks one field of a secret at their start, or all of it.
func (p *platform) secret(name string, s awssecretsmanager.ISecret, field string, d *data) awsecs.Secret {
	allow(p.execution[name], []string{"secretsmanager:GetSecretValue"}, *s.SecretArn())
	allow(p.execution[name], []string{"kms:Decrypt"}, *d.key.KeyArn())
	if field == "" {
		return awsecs.Secret_FromSecretsManager(s, nil)
	}
	return awsecs.Secret_FromSecretsManager(s, str(field))
}

func allow(r awsiam.Role, actions []string, resources ...string) {
	allowIf(r, actions, nil, resources...)
}

func allowIf(r awsiam.Role, actions []string, conditions map[string]any, resources ...string) {
	props := &awsiam.PolicyStatementProps{Actions: strs(actions...), Resources: strs(resources...)}
	if conditions != nil {
		props.Conditions = &conditions
	}
	r.AddToPolicy(awsiam.NewPolicyStatement(props))
}

// Keys of the live store by what they hold. Roles are held to them, so that no worker can read the pseudonyms' day keys
// or what is known of a vehicle.
const (
	liveTiles     = "tile/*"             // pointers to tiles
	liveDayKeys   = "pseudonym-key/*"    // sealed day keys
	liveVehicle   = "vehicle/*"          // a vehicle's status
	liveVehicles  = "vehicles/*"         // how many were seen
	liveForgotten = "vehicles/forgotten" // who is to be forgotten
	liveUsage     = "usage/*"            // what was used
)

// taskRole is what a service's process may do, and no more.
func (p *platform) taskRole(name string, c Config, d *data) {
	who := ecsTasks(p.stack)
	if c.Target == Beanstalk && name != migrate {
		who = awsiam.NewServicePrincipal(str("ec2.amazonaws.com"), nil)
	}
	r := awsiam.NewRole(p.stack, str(title(name)+"Role"), &awsiam.RoleProps{
		AssumedBy: who, Description: str("The process of " + name),
	})
	p.roles[name] = r
	live := func(actions []string, keys ...string) {
		allowIf(r, actions, map[string]any{"ForAllValues:StringLike": map[string]any{"dynamodb:LeadingKeys": keys}}, *d.live.TableArn())
	}
	read, write := []string{"dynamodb:GetItem"}, []string{"dynamodb:GetItem", "dynamodb:PutItem"}
	encrypt := func() { allow(r, []string{"kms:Decrypt", "kms:GenerateDataKey"}, *d.key.KeyArn()) }
	raw := func(prefix string) string { return *d.raw.ArnForObjects(str(prefix)) }
	public := func(prefix string) string { return *d.tiles.ArnForObjects(str(prefix)) }
	// Who may list is told "no such key" of a missing object, which is how services learn that there is no map yet; others are told "access
	// denied". Whether S3 takes the object's key for the prefix then, or none, its documentation does not say, so that no prefix will do, too.
	list := func(prefixes ...string) {
		allowIf(r, []string{"s3:ListBucket"}, map[string]any{"StringLikeIfExists": map[string]any{"s3:prefix": prefixes}}, *d.raw.BucketArn(), *d.tiles.BucketArn())
	}
	switch name {
	case receiver:
		allow(r, []string{"sqs:SendMessage"}, *d.queue.QueueArn())
		live(write, liveDayKeys, liveVehicle, liveVehicles, liveUsage)
		encrypt()
	case worker:
		allow(r, []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"},
			*d.queue.QueueArn(), *d.dead.QueueArn())
		live(write, liveTiles, liveUsage)
		allow(r, []string{"s3:GetObject", "s3:PutObject"}, raw("raw/*"), raw("quarantine/*"), public("tiles/*"))
		allow(r, []string{"s3:GetObject"}, raw("map/*"))
		allow(r, []string{"s3:DeleteObject"}, public("tiles/*")) // of a publication that another overtook
		list("map/*", "tiles/*", "quarantine/*", "raw/*")
		encrypt()
		p.connect(r, d)
	case management:
		allow(r, []string{"sqs:GetQueueAttributes"}, *d.queue.QueueArn(), *d.dead.QueueArn())
		live(read, liveTiles, liveDayKeys, liveVehicle, liveVehicles, liveUsage)
		live([]string{"dynamodb:PutItem"}, liveDayKeys, liveUsage)
		live([]string{"dynamodb:DeleteItem"}, liveVehicle, liveDayKeys) // forgetting a vehicle, a day
		allow(r, []string{"s3:GetObject"}, raw("raw/*"), raw("quarantine/*"), raw("map/*"), public("tiles/*"), public("release/*"))
		list("map/*", "tiles/*", "release/*", "quarantine/*", "raw/*")
		encrypt()
		p.connect(r, d)
	case jobs:
		live(read, liveTiles)
		live(write, liveForgotten)                         // of erasures: tells receivers,
		live([]string{"dynamodb:DeleteItem"}, liveVehicle) // and deletes what it may not read
		allow(r, []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject"}, raw("raw/*"), raw("quarantine/*"), public("tiles/*"), public("release/*"))
		allow(r, []string{"s3:GetObject"}, raw("map/*"), raw("import/*")) // archives for a backfill are put under import/
		list("map/*", "tiles/*", "release/*", "quarantine/*", "raw/*", "import/*")
		encrypt()
		p.connect(r, d)
		allow(r, []string{"ecs:GetTaskProtection", "ecs:UpdateTaskProtection"}, *p.stack.FormatArn(&awscdk.ArnComponents{
			Service: str("ecs"), Resource: str("task"), ResourceName: str("carasso/*"),
		}))
	case migrate: // as the services' user; before there is one, by the master's password
		p.connect(r, d)
	}
}

// connect lets a role log in to PostgreSQL, as the services' user.
func (p *platform) connect(r awsiam.Role, d *data) {
	allow(r, []string{"rds-db:connect"}, *p.stack.FormatArn(&awscdk.ArnComponents{
		Service: str("rds-db"), Resource: str("dbuser"), ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
		ResourceName: str(*d.database.AttrDbiResourceId() + "/" + databaseUser),
	}))
}
