package main

import (
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	eb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticbeanstalk"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"

	"github.com/carasso/carasso/internal/scaling"
)

// dockerPlatform is the version of the Docker platform on Amazon Linux 2023, if the context names no newer one: Beanstalk retires
// versions, and takes only those for new environments that `aws elasticbeanstalk list-available-solution-stacks` has.
const dockerPlatform = "4.13.10"

// newBeanstalk runs the services as environments: receiver and management as web servers behind the shared load balancer, worker
// and jobs in the worker tier. Beanstalk's own daemon of that tier reads a queue of its own, which stays
// empty: our workers take envelopes by the ten, extend and release them, which it can't.
func newBeanstalk(app awscdk.App, c Config, n *network, d *data, p *platform, props *awscdk.StackProps) *ingress {
	s := awscdk.NewStack(app, str("Carasso-Services"), props)
	i := newIngress(s, c, n, d)
	parameters := newParameters(s)
	environments := parameters.environments(c, d)
	delete(environments[jobs], "CARASSO_TASK_PROTECTION") // instances are not chosen by work: jobs go on elsewhere
	application := eb.NewCfnApplication(s, str("Application"), &eb.CfnApplicationProps{
		ApplicationName: str("carasso"), Description: str("Car as a sensor"),
	})
	bundle := awss3assets.NewAsset(s, str("Bundle"), &awss3assets.AssetProps{Path: str("beanstalk")})
	version := eb.NewCfnApplicationVersion(s, str("Version"), &eb.CfnApplicationVersionProps{
		ApplicationName: application.Ref(),
		SourceBundle:    &eb.CfnApplicationVersion_SourceBundleProperty{S3Bucket: bundle.S3BucketName(), S3Key: bundle.S3ObjectKey()},
	})
	operator := awsiam.NewRole(s, str("BeanstalkRole"), &awsiam.RoleProps{
		Description: str("Beanstalk itself: watches instances, updates their platform"),
		AssumedBy:   awsiam.NewServicePrincipal(str("elasticbeanstalk.amazonaws.com"), &awsiam.ServicePrincipalOpts{Conditions: &map[string]any{"StringEquals": map[string]any{"sts:ExternalId": "elasticbeanstalk"}}}),
		ManagedPolicies: &[]awsiam.IManagedPolicy{
			awsiam.ManagedPolicy_FromAwsManagedPolicyName(str("service-role/AWSElasticBeanstalkEnhancedHealth")),
			awsiam.ManagedPolicy_FromAwsManagedPolicyName(str("AWSElasticBeanstalkManagedUpdatesCustomerRolePolicy")),
		},
	})
	idle := awssqs.NewQueue(s, str("IdleQueue"), &awssqs.QueueProps{Encryption: awssqs.QueueEncryption_SQS_MANAGED, EnforceSSL: yes()})
	run := func(name string, group awsec2.SecurityGroup, subnets, instances string, least, most float64, more ...[3]*string) {
		role := p.roles[name]
		tier := "AWSElasticBeanstalkWebTier"
		if name == worker || name == jobs {
			tier = "AWSElasticBeanstalkWorkerTier"
			allow(role, []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}, *p.stack.FormatArn(&awscdk.ArnComponents{
				Service: str("sqs"), Resource: str("Carasso-Services-IdleQueue*"),
			}))
		}
		role.AddManagedPolicy(awsiam.ManagedPolicy_FromAwsManagedPolicyName(str(tier)))
		p.repository.GrantPull(role)
		p.logs[name].GrantWrite(role)
		profile := awsiam.NewCfnInstanceProfile(s, str(title(name)+"Profile"), &awsiam.CfnInstanceProfileProps{Roles: &[]any{role.RoleName()}})
		var options []any
		set := func(namespace, option string, value *string) {
			options = append(options, &eb.CfnEnvironment_OptionSettingProperty{Namespace: str(namespace), OptionName: str(option), Value: value})
		}
		set("aws:autoscaling:launchconfiguration", "IamInstanceProfile", profile.Ref())
		set("aws:autoscaling:launchconfiguration", "DisableIMDSv1", str("true"))
		set("aws:autoscaling:launchconfiguration", "SecurityGroups", group.SecurityGroupId())
		set("aws:autoscaling:launchconfiguration", "DisableDefaultEC2SecurityGroup", str("true")) // else there is a second one, which may connect to everything
		set("aws:autoscaling:asg", "MinSize", str(whole(least)))
		set("aws:autoscaling:asg", "MaxSize", str(whole(most)))
		set("aws:ec2:instances", "InstanceTypes", str(instances))
		set("aws:ec2:instances", "SupportedArchitectures", str("arm64"))
		set("aws:ec2:vpc", "VPCId", n.vpc.VpcId())
		set("aws:ec2:vpc", "Subnets", awscdk.Fn_Join(str(","), n.vpc.SelectSubnets(in(subnets)).SubnetIds))
		set("aws:ec2:vpc", "AssociatePublicIpAddress", str("false"))
		set("aws:elasticbeanstalk:environment", "ServiceRole", operator.RoleArn())
		set("aws:elasticbeanstalk:healthreporting:system", "SystemType", str("enhanced"))
		set("aws:elasticbeanstalk:command", "DeploymentPolicy", str("RollingWithAdditionalBatch"))
		set("aws:elasticbeanstalk:command", "BatchSizeType", str("Percentage"))
		set("aws:elasticbeanstalk:command", "BatchSize", str("34")) // else all at once
		set("aws:elasticbeanstalk:managedactions", "ManagedActionsEnabled", str("true"))
		set("aws:elasticbeanstalk:managedactions", "PreferredStartTime", str("Sun:03:00"))
		set("aws:elasticbeanstalk:managedactions:platformupdate", "UpdateLevel", str("minor"))
		set("aws:elasticbeanstalk:cloudwatch:logs", "StreamLogs", str("true")) // of the instance; the process's own go to /carasso
		set("aws:elasticbeanstalk:cloudwatch:logs", "DeleteOnTerminate", str("false"))
		set("aws:elasticbeanstalk:cloudwatch:logs", "RetentionInDays", str("30"))
		for _, o := range more {
			set(*o[0], *o[1], o[2])
		}
		env := environments[name]
		env["CARASSO_SERVICE"], env["CARASSO_LOG_GROUP"] = name, *p.logs[name].LogGroupName()
		env["CARASSO_IMAGE"] = *p.repository.RepositoryUri() + ":" + *parameters.tag.ValueAsString()
		if key, ok := env["CARASSO_JWT_KEYS"]; ok { // no lines in the environment here
			env["CARASSO_JWT_KEYS"] = *awscdk.Fn_Join(str(""), awscdk.Fn_Split(str("\n"), str(key), nil))
		}
		if name != worker {
			allow(role, []string{"secretsmanager:GetSecretValue"}, *d.master.SecretArn())
			set("aws:elasticbeanstalk:application:environmentsecrets", "CARASSO_MASTER_KEY", d.master.SecretArn())
		}
		for _, k := range sorted(env) {
			set("aws:elasticbeanstalk:application:environment", k, str(env[k]))
		}
		kind := &eb.CfnEnvironment_TierProperty{Name: str("WebServer"), Type: str("Standard")}
		if name == worker || name == jobs {
			kind = &eb.CfnEnvironment_TierProperty{Name: str("Worker"), Type: str("SQS/HTTP")}
		}
		eb.NewCfnEnvironment(s, str(title(name)+"Environment"), &eb.CfnEnvironmentProps{
			ApplicationName: application.Ref(), EnvironmentName: str("carasso-" + name), Tier: kind, VersionLabel: version.Ref(),
			SolutionStackName: str("64bit Amazon Linux 2023 v" + c.DockerPlatform + " running Docker"), OptionSettings: &options,
		})
	}
	option := func(namespace, name string, value *string) [3]*string {
		return [3]*string{str(namespace), str(name), value}
	}
	web := func(host string, priority int, ports ...string) []([3]*string) {
		all := [][3]*string{
			option("aws:elasticbeanstalk:environment", "LoadBalancerType", str("application")),
			option("aws:elasticbeanstalk:environment", "LoadBalancerIsShared", str("true")),
			option("aws:elbv2:loadbalancer", "SharedLoadBalancer", i.balancer.LoadBalancerArn()),
			option("aws:elbv2:loadbalancer", "SecurityGroups", n.balancer.SecurityGroupId()), // else it makes one and attaches it to ours
			option("aws:elasticbeanstalk:environment:process:default", "HealthCheckPath", str("/readyz")),
			option("aws:elasticbeanstalk:environment:process:default", "Port", str(whole(servicePort))),
			option("aws:elasticbeanstalk:environment:process:default", "DeregistrationDelay", str("30")),
			option("aws:elbv2:listenerrule:"+strings.Split(host, ".")[0], "HostHeaders", str(host)),
			option("aws:elbv2:listenerrule:"+strings.Split(host, ".")[0], "Priority", str(strconv.Itoa(priority))),
		}
		for _, port := range ports {
			all = append(all, option("aws:elbv2:listener:"+port, "Rules", str(strings.Split(host, ".")[0])))
		}
		return all
	}
	ports := []string{"443"}
	if c.ClientCA != "" {
		ports = append(ports, whole(mtlsPort))
	}
	background := []([3]*string){
		option("aws:elasticbeanstalk:sqsd", "WorkerQueueURL", idle.QueueUrl()),
		option("aws:elasticbeanstalk:sqsd", "HttpPath", str("/healthz")),
	}
	trigger := func(metric, unit, upper, lower string) []([3]*string) {
		const ns = "aws:autoscaling:trigger"
		return []([3]*string){
			option(ns, "MeasureName", str(metric)), option(ns, "Statistic", str("Average")), option(ns, "Unit", str(unit)),
			option(ns, "UpperThreshold", str(upper)), option(ns, "LowerThreshold", str(lower)),
		}
	}
	// Two processors an instance, so half as many as tasks. Beanstalk triggers on a fixed list of measures, which has no
	// backlog: workers go by their processors here.
	run(receiver, n.receiver, receiverSubnets, "c7g.large", minReceivers, maxReceivers/2, append(web("cars."+c.Domain, 10, ports...), trigger("CPUUtilization", "Percent", whole(receiverCPU), "25")...)...)
	run(management, n.management, managementSubnets, "t4g.medium", scaling.MinManagement, scaling.MaxManagement, web("portal."+c.Domain, 11, "443")...)
	run(worker, n.worker, workerSubnets, "m7g.large", minWorkers, maxWorkers/2, append(background, trigger("CPUUtilization", "Percent", whole(scaling.WorkerCPUPercent), "20")...)...)
	run(jobs, n.jobs, jobsSubnets, "m7g.large", scaling.JobTasks, scaling.JobTasks, background...)
	return i
}
