package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
)

// Subnet groups, one subnet a zone each. Only the load balancer and the NAT gateway have public addresses. Receivers,
// workers and the database have no route out at all: they reach AWS through endpoints. Management and jobs reach the
// internet through the NAT gateway, for identity providers and webhooks; no telemetry passes it.
const (
	publicSubnets     = "public"
	receiverSubnets   = "receiver"
	workerSubnets     = "worker"
	managementSubnets = "management"
	jobsSubnets       = "jobs"
	dataSubnets       = "data"
)

// network is the VPC with its security groups, and the hosted zone.
type network struct {
	stack awscdk.Stack
	vpc   awsec2.Vpc
	zone  awsroute53.PublicHostedZone

	balancer, receiver, worker, management, jobs, database awsec2.SecurityGroup
}

func newNetwork(app awscdk.App, c Config, props *awscdk.StackProps) *network {
	n := &network{stack: awscdk.NewStack(app, str("Carasso-Network"), props)}
	subnets := func(name string, kind awsec2.SubnetType, mask float64) *awsec2.SubnetConfiguration {
		s := &awsec2.SubnetConfiguration{Name: str(name), SubnetType: kind, CidrMask: num(mask)}
		if kind == awsec2.SubnetType_PUBLIC {
			s.MapPublicIpOnLaunch = no()
		}
		return s
	}
	n.vpc = awsec2.NewVpc(n.stack, str("Vpc"), &awsec2.VpcProps{
		IpAddresses:       awsec2.IpAddresses_Cidr(str("10.40.0.0/16")),
		AvailabilityZones: strs(c.Zones...),
		NatGateways:       num(1), // beside the data path: a zone's failure stops webhooks, not cars
		SubnetConfiguration: &[]*awsec2.SubnetConfiguration{
			subnets(publicSubnets, awsec2.SubnetType_PUBLIC, 24),
			subnets(receiverSubnets, awsec2.SubnetType_PRIVATE_ISOLATED, 24),
			subnets(workerSubnets, awsec2.SubnetType_PRIVATE_ISOLATED, 24),
			subnets(managementSubnets, awsec2.SubnetType_PRIVATE_WITH_EGRESS, 26),
			subnets(jobsSubnets, awsec2.SubnetType_PRIVATE_WITH_EGRESS, 26),
			subnets(dataSubnets, awsec2.SubnetType_PRIVATE_ISOLATED, 26),
		},
		RestrictDefaultSecurityGroup: no(), // would need a Lambda; nothing uses that group
	})
	rejected := awslogs.NewLogGroup(n.stack, str("RejectedLog"), &awslogs.LogGroupProps{
		Retention: awslogs.RetentionDays_ONE_MONTH, RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	n.vpc.AddFlowLog(str("Rejected"), &awsec2.FlowLogOptions{
		TrafficType: awsec2.FlowLogTrafficType_REJECT, // accepted traffic is in the load balancer's log
		Destination: awsec2.FlowLogDestination_ToCloudWatchLogs(rejected, nil),
	})
	n.endpoints(c)
	n.groups(c)
	n.zone = awsroute53.NewPublicHostedZone(n.stack, str("Zone"), &awsroute53.PublicHostedZoneProps{ZoneName: str(c.Domain)})
	output(n.stack, "NameServers", awscdk.Fn_Join(str(" "), n.zone.HostedZoneNameServers()),
		str("Delegate "+c.Domain+" to these at its parent zone; certificates wait for it."))
	return n
}

// endpoints are how subnets without a route out reach AWS.
func (n *network) endpoints(c Config) {
	n.vpc.AddGatewayEndpoint(str("S3"), &awsec2.GatewayVpcEndpointOptions{Service: awsec2.GatewayVpcEndpointAwsService_S3()})
	n.vpc.AddGatewayEndpoint(str("DynamoDB"), &awsec2.GatewayVpcEndpointOptions{Service: awsec2.GatewayVpcEndpointAwsService_DYNAMODB()})
	inside := awsec2.NewSecurityGroup(n.stack, str("EndpointGroup"), &awsec2.SecurityGroupProps{
		Vpc: n.vpc, Description: str("Endpoints of AWS services"), AllowAllOutbound: no(),
	})
	inside.AddIngressRule(awsec2.Peer_Ipv4(n.vpc.VpcCidrBlock()), awsec2.Port_Tcp(num(443)), str("TLS from within"), nil)
	services := map[string]awsec2.InterfaceVpcEndpointAwsService{
		"Sqs":            awsec2.InterfaceVpcEndpointAwsService_SQS(),
		"EcrApi":         awsec2.InterfaceVpcEndpointAwsService_ECR(),
		"EcrDocker":      awsec2.InterfaceVpcEndpointAwsService_ECR_DOCKER(),
		"Logs":           awsec2.InterfaceVpcEndpointAwsService_CLOUDWATCH_LOGS(),
		"SecretsManager": awsec2.InterfaceVpcEndpointAwsService_SECRETS_MANAGER(),
		"Kms":            awsec2.InterfaceVpcEndpointAwsService_KMS(),
	}
	if c.Target == Beanstalk { // its agents on the instances
		services["CloudFormation"] = awsec2.InterfaceVpcEndpointAwsService_CLOUDFORMATION()
		services["Beanstalk"] = awsec2.InterfaceVpcEndpointAwsService_ELASTIC_BEANSTALK()
		services["BeanstalkHealth"] = awsec2.InterfaceVpcEndpointAwsService_ELASTIC_BEANSTALK_HEALTH()
	}
	for _, name := range sorted(services) {
		n.vpc.AddInterfaceEndpoint(str(name), &awsec2.InterfaceVpcEndpointOptions{
			Service: services[name], SecurityGroups: &[]awsec2.ISecurityGroup{inside}, Open: no(), PrivateDnsEnabled: yes(),
			Subnets: &awsec2.SubnetSelection{SubnetGroupName: str(workerSubnets)},
		})
	}
}

// groups are the security groups: who may open a connection to whom.
func (n *network) groups(c Config) {
	group := func(id, description string) awsec2.SecurityGroup {
		return awsec2.NewSecurityGroup(n.stack, str(id), &awsec2.SecurityGroupProps{
			Vpc: n.vpc, Description: str(description), AllowAllOutbound: no(),
		})
	}
	n.balancer = group("BalancerGroup", "Load balancer")
	n.receiver = group("ReceiverGroup", "Receivers")
	n.worker = group("WorkerGroup", "Workers")
	n.management = group("ManagementGroup", "Management")
	n.jobs = group("JobsGroup", "Jobs and migrations")
	n.database = group("DatabaseGroup", "PostgreSQL")

	allow := func(from, to awsec2.SecurityGroup, port float64, why string) {
		from.AddEgressRule(to, awsec2.Port_Tcp(num(port)), str(why), nil)
		to.AddIngressRule(from, awsec2.Port_Tcp(num(port)), str(why), nil)
	}
	n.balancer.AddIngressRule(awsec2.Peer_AnyIpv4(), awsec2.Port_Tcp(num(443)), str("Cars and people"), nil)
	if c.ClientCA != "" {
		n.balancer.AddIngressRule(awsec2.Peer_AnyIpv4(), awsec2.Port_Tcp(num(mtlsPort)), str("Cars with client certificates"), nil)
	}
	allow(n.balancer, n.receiver, servicePort, "Load balancer to receivers")
	allow(n.balancer, n.management, servicePort, "Load balancer to management")
	allow(n.worker, n.database, postgres, "Workers to PostgreSQL")
	allow(n.management, n.database, postgres, "Management to PostgreSQL")
	allow(n.jobs, n.database, postgres, "Jobs to PostgreSQL")
	for _, g := range []awsec2.SecurityGroup{n.receiver, n.worker, n.management, n.jobs} {
		// The gateway endpoints' prefix lists have an id of each region's own, which a template can't know.
		g.AddEgressRule(awsec2.Peer_AnyIpv4(), awsec2.Port_Tcp(num(443)), str("AWS APIs; routes decide what else"), nil)
	}
}

// in selects a group of subnets.
func in(group string) *awsec2.SubnetSelection {
	return &awsec2.SubnetSelection{SubnetGroupName: str(group)}
}
