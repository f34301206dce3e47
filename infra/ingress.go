package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53targets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awswafv2"
)

// leafHeader is where the load balancer puts the client certificate that it has verified. Only requests through the
// mTLS listener may carry it: the other one refuses who sends it.
const leafHeader = "X-Amzn-Mtls-Clientcert-Leaf"

// ingress is the load balancer: cars. leads to receivers, portal. to management, over TLS; on mtlsPort with client
// certificates. It stands in the platform, so that both targets are behind the same.
type ingress struct {
	balancer             elb.ApplicationLoadBalancer
	listener             elb.ApplicationListener
	receiver, management elb.ApplicationTargetGroup
}

func newIngress(s awscdk.Stack, c Config, n *network, d *data) *ingress {
	i := &ingress{}
	i.balancer = elb.NewApplicationLoadBalancer(s, str("Balancer"), &elb.ApplicationLoadBalancerProps{
		Vpc: n.vpc, InternetFacing: yes(), VpcSubnets: in(publicSubnets), SecurityGroup: n.balancer,
		DropInvalidHeaderFields: yes(), DeletionProtection: yes(),
		IdleTimeout: lasting(balancerIdle),
	})
	i.balancer.LogAccessLogs(d.logs, str("balancer"))
	cars, portal := "cars."+c.Domain, "portal."+c.Domain
	certificate := awscertificatemanager.NewCertificate(s, str("Certificate"), &awscertificatemanager.CertificateProps{
		DomainName: str(cars), SubjectAlternativeNames: strs(portal), Validation: awscertificatemanager.CertificateValidation_FromDns(n.zone),
	})
	if c.Target == Fargate { // Beanstalk makes its own, and the rules that lead there
		i.receiver = targets(s, "ReceiverTargets", n.vpc)
		i.management = targets(s, "ManagementTargets", n.vpc)
	}
	listener := func(id string, port float64, otherwise elb.ListenerAction) elb.ApplicationListener {
		return elb.NewApplicationListener(s, str(id), &elb.ApplicationListenerProps{
			LoadBalancer: i.balancer, Port: num(port), Protocol: elb.ApplicationProtocol_HTTPS, Open: no(),
			Certificates: &[]elb.IListenerCertificate{certificate}, SslPolicy: elb.SslPolicy_RECOMMENDED_TLS,
			DefaultAction: otherwise,
		})
	}
	rule := func(l elb.ApplicationListener, id string, priority float64, then elb.ListenerAction, when ...elb.ListenerCondition) {
		elb.NewApplicationListenerRule(s, str(id), &elb.ApplicationListenerRuleProps{
			Listener: l, Priority: num(priority), Conditions: &when, Action: then,
		})
	}
	forward := func(g elb.ApplicationTargetGroup) elb.ListenerAction {
		return elb.ListenerAction_Forward(&[]elb.IApplicationTargetGroup{g}, nil)
	}
	host := func(name string) elb.ListenerCondition { return elb.ListenerCondition_HostHeaders(strs(name)) }
	nothing := elb.ListenerAction_FixedResponse(num(404), nil)
	i.listener = listener("Tls", 443, nothing)
	rule(i.listener, "NoForgedCertificates", 1, elb.ListenerAction_FixedResponse(num(400), nil), elb.ListenerCondition_HttpHeader(str(leafHeader), strs("*")))
	rule(i.listener, "Metrics", 2, nothing, elb.ListenerCondition_PathPatterns(strs("/metrics", "/readyz")))
	unnamed := nothing
	if c.Target == Fargate {
		rule(i.listener, "Cars", 10, forward(i.receiver), host(cars))
		rule(i.listener, "Portal", 11, forward(i.management), host(portal))
		unnamed = forward(i.receiver)
	}
	if c.ClientCA != "" {
		ca := awss3assets.NewAsset(s, str("ClientCA"), &awss3assets.AssetProps{Path: str(c.ClientCA)})
		store := elb.NewCfnTrustStore(s, str("ClientCAs"), &elb.CfnTrustStoreProps{
			Name: str("carasso-vehicles"), CaCertificatesBundleS3Bucket: ca.S3BucketName(), CaCertificatesBundleS3Key: ca.S3ObjectKey(),
		})
		mutual := listener("Mtls", mtlsPort, unnamed)
		mutual.Node().DefaultChild().(elb.CfnListener).SetMutualAuthentication(&elb.CfnListener_MutualAuthenticationProperty{
			Mode: str("verify"), TrustStoreArn: store.AttrTrustStoreArn(), IgnoreClientCertificateExpiry: no(),
		})
		rule(mutual, "MtlsMetrics", 2, nothing, elb.ListenerCondition_PathPatterns(strs("/metrics", "/readyz")))
	}
	for _, name := range []string{"cars", "portal"} {
		awsroute53.NewARecord(s, str(title(name)+"Name"), &awsroute53.ARecordProps{
			Zone: n.zone, RecordName: str(name), Target: awsroute53.RecordTarget_FromAlias(awsroute53targets.NewLoadBalancerTarget(i.balancer, nil)),
		})
	}
	i.firewall(s, c)
	output(s, "CarsAddress", str("https://"+cars), str("Where vehicles send to"))
	output(s, "PortalAddress", str("https://"+portal), str("Management API and portal"))
	return i
}

// targets is a group of a service's tasks or instances, which get requests while they are ready.
func targets(s awscdk.Stack, id string, vpc awsec2.Vpc) elb.ApplicationTargetGroup {
	return elb.NewApplicationTargetGroup(s, str(id), &elb.ApplicationTargetGroupProps{
		Vpc: vpc, Port: num(servicePort), Protocol: elb.ApplicationProtocol_HTTP, TargetType: elb.TargetType_IP,
		DeregistrationDelay: awscdk.Duration_Seconds(num(30)), LoadBalancingAlgorithmType: elb.TargetGroupLoadBalancingAlgorithmType_LEAST_OUTSTANDING_REQUESTS,
		HealthCheck: &elb.HealthCheck{
			Path: str("/readyz"), HealthyHttpCodes: str("200"), Interval: awscdk.Duration_Seconds(num(10)), Timeout: awscdk.Duration_Seconds(num(5)),
			HealthyThresholdCount: num(2), UnhealthyThresholdCount: num(3),
		},
	})
}

// firewall are the rules before the load balancer. Rates go by credential, not by address: thousands of cars share the
// address of their mobile network. Bodies are not inspected: they are protobuf, bounded and decoded by the receiver.
func (i *ingress) firewall(s awscdk.Stack, c Config) {
	authorization := map[string]any{"SingleHeader": map[string]any{"Name": "authorization"}}
	none := []any{map[string]any{"Priority": 0, "Type": "NONE"}}
	visible := func(name string) any { // without samples: they hold tokens
		return map[string]any{"CloudWatchMetricsEnabled": true, "MetricName": name, "SampledRequestsEnabled": false}
	}
	not := func(statement any) any { return map[string]any{"NotStatement": map[string]any{"Statement": statement}} }
	without := not(map[string]any{"SizeConstraintStatement": map[string]any{ // a header that is missing has no size, and matches nothing
		"FieldToMatch": authorization, "ComparisonOperator": "GT", "Size": 0, "TextTransformations": none,
	}})
	below := func(path string) any {
		return map[string]any{"ByteMatchStatement": map[string]any{
			"FieldToMatch": map[string]any{"UriPath": map[string]any{}}, "PositionalConstraint": "STARTS_WITH", "SearchString": path, "TextTransformations": none,
		}}
	}
	public := map[string]any{"OrStatement": map[string]any{"Statements": []any{below("/v1/tiles"), below("/v1/hazards/stream"), below("/portal/")}}}
	byCredential := map[string]any{
		"Limit": ratePerCredential, "EvaluationWindowSec": 300, "AggregateKeyType": "CUSTOM_KEYS",
		"CustomKeys": []any{map[string]any{"Header": map[string]any{"Name": "authorization", "TextTransformations": none}}},
	}
	if len(c.Gateways) > 0 {
		set := awswafv2.NewCfnIPSet(s, str("Gateways"), &awswafv2.CfnIPSetProps{
			Name: str("carasso-gateways"), Scope: str("REGIONAL"), IpAddressVersion: str("IPV4"), Addresses: strs(c.Gateways...),
		})
		byCredential["ScopeDownStatement"] = not(map[string]any{"IPSetReferenceStatement": map[string]any{"Arn": set.AttrArn()}})
	}
	block := map[string]any{"Block": map[string]any{"CustomResponse": map[string]any{"ResponseCode": 429}}}
	host := func(where, text string) any {
		return map[string]any{"ByteMatchStatement": map[string]any{
			"FieldToMatch": map[string]any{"SingleHeader": map[string]any{"Name": "host"}}, "PositionalConstraint": where, "SearchString": text, "TextTransformations": none,
		}}
	}
	onTLS := host("ENDS_WITH", ":"+whole(mtlsPort)) // the mTLS listener's clients have no token
	acl := awswafv2.NewCfnWebACL(s, str("Firewall"), &awswafv2.CfnWebACLProps{
		Name: str("carasso"), Scope: str("REGIONAL"), DefaultAction: &awswafv2.CfnWebACL_DefaultActionProperty{Allow: &awswafv2.CfnWebACL_AllowActionProperty{}},
		VisibilityConfig: &awswafv2.CfnWebACL_VisibilityConfigProperty{
			CloudWatchMetricsEnabled: yes(), MetricName: str("carasso"), SampledRequestsEnabled: no(),
		},
	})
	acl.AddPropertyOverride(str("Rules"), []any{
		map[string]any{
			"Name": "rate-by-credential", "Priority": 1, "Action": block, "VisibilityConfig": visible("carasso-rate-by-credential"),
			"Statement": map[string]any{"RateBasedStatement": byCredential},
		},
		map[string]any{
			"Name": "rate-without-credential", "Priority": 2, "Action": block, "VisibilityConfig": visible("carasso-rate-without"),
			"Statement": map[string]any{"RateBasedStatement": map[string]any{
				"Limit": rateWithout, "EvaluationWindowSec": 300, "AggregateKeyType": "IP",
				"ScopeDownStatement": map[string]any{"AndStatement": map[string]any{"Statements": []any{without, not(onTLS), not(public)}}},
			}},
		},
		map[string]any{
			"Name": "rate-of-public-reads", "Priority": 4, "Action": block, "VisibilityConfig": visible("carasso-rate-of-public-reads"),
			"Statement": map[string]any{"RateBasedStatement": map[string]any{
				"Limit": ratePublic, "EvaluationWindowSec": 300, "AggregateKeyType": "IP", "ScopeDownStatement": public,
			}},
		},
		map[string]any{
			"Name": "known-bad-addresses", "Priority": 3, "OverrideAction": map[string]any{"None": map[string]any{}}, "VisibilityConfig": visible("carasso-bad-addresses"),
			"Statement": map[string]any{"ManagedRuleGroupStatement": map[string]any{
				"VendorName": "AWS", "Name": "AWSManagedRulesAmazonIpReputationList",
				"ScopeDownStatement": host("STARTS_WITH", "portal."), // cars share the addresses of their networks with whoever has an infected phone
			}},
		},
	})
	awswafv2.NewCfnWebACLAssociation(s, str("FirewallAssociation"), &awswafv2.CfnWebACLAssociationProps{
		ResourceArn: i.balancer.LoadBalancerArn(), WebAclArn: acl.AttrArn(),
	})
}
