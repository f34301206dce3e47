package check

import "strings"

// wiring: whatever holds on to another resource does so. The rule of references tells whether what is named is there; this one,
// whether it is named at all, so that a resource can't go together with all that names it.
func (r *report) wiring(target string) {
	for _, w := range []struct {
		kind string
		path []any
	}{
		{"AWS::ApplicationAutoScaling::ScalingPolicy", []any{"ScalingTargetId"}},
		{"AWS::Athena::NamedQuery", []any{"Database"}},
		{"AWS::Athena::NamedQuery", []any{"WorkGroup"}},
		{"AWS::EC2::FlowLog", []any{"DeliverLogsPermissionArn"}},
		{"AWS::EC2::FlowLog", []any{"LogGroupName"}},
		{"AWS::EC2::NatGateway", []any{"AllocationId"}},
		{"AWS::EC2::NatGateway", []any{"SubnetId"}},
		{"AWS::EC2::Route", []any{"RouteTableId"}},
		{"AWS::EC2::RouteTable", []any{"VpcId"}},
		{"AWS::EC2::SecurityGroup", []any{"VpcId"}},
		{"AWS::EC2::Subnet", []any{"VpcId"}},
		{"AWS::EC2::SubnetRouteTableAssociation", []any{"RouteTableId"}},
		{"AWS::EC2::SubnetRouteTableAssociation", []any{"SubnetId"}},
		{"AWS::ECS::Service", []any{"Cluster"}},
		{"AWS::ECS::Service", []any{"TaskDefinition"}},
		{"AWS::ECS::TaskDefinition", []any{"ContainerDefinitions", 0, "LogConfiguration", "Options", "awslogs-group"}},
		{"AWS::ECS::TaskDefinition", []any{"ExecutionRoleArn"}},
		{"AWS::ECS::TaskDefinition", []any{"TaskRoleArn"}},
		{"AWS::ElasticBeanstalk::ApplicationVersion", []any{"ApplicationName"}},
		{"AWS::ElasticBeanstalk::Environment", []any{"ApplicationName"}},
		{"AWS::ElasticBeanstalk::Environment", []any{"VersionLabel"}},
		{"AWS::ElasticLoadBalancingV2::Listener", []any{"Certificates"}},
		{"AWS::ElasticLoadBalancingV2::Listener", []any{"LoadBalancerArn"}},
		{"AWS::ElasticLoadBalancingV2::ListenerRule", []any{"ListenerArn"}},
		{"AWS::Glue::Table", []any{"DatabaseName"}},
		{"AWS::IAM::InstanceProfile", []any{"Roles"}},
		{"AWS::RDS::DBInstance", []any{"DBParameterGroupName"}},
		{"AWS::RDS::DBInstance", []any{"DBSubnetGroupName"}},
		{"AWS::RDS::DBInstance", []any{"MonitoringRoleArn"}},
		{"AWS::RDS::DBSubnetGroup", []any{"SubnetIds"}},
		{"AWS::Route53::RecordSet", []any{"HostedZoneId"}},
		{"AWS::WAFv2::WebACLAssociation", []any{"WebACLArn"}},
	} {
		for _, x := range r.t.Of(w.kind) {
			if len(List(x.At(w.path...))) == 0 {
				r.fault(x.ID, "has no %v", w.path)
			}
		}
	}
	for _, e := range r.t.Of("AWS::EC2::VPCEndpoint") {
		if e.At("VpcEndpointType") == "Interface" && len(List(e.At("SecurityGroupIds"))) == 0 {
			r.fault(e.ID, "is closed to nobody")
		}
	}
	r.must("AWS::EC2::VPCGatewayAttachment", "VpcVPCGW")
	if acl, ok := r.t.Named("AWS::WAFv2::WebACL", "Firewall"); ok && !strings.Contains(text(acl.At("Rules")), `["Gateways","Arn"]`) {
		r.fault(acl.ID, "bounds gateways, which speak for many cars, as one car")
	}
	if target != "fargate" {
		r.environments()
		return
	}
	for listener, group := range map[string]string{"Cars": "ReceiverTargets", "Portal": "ManagementTargets"} {
		if l, ok := r.must("AWS::ElasticLoadBalancingV2::ListenerRule", listener); ok && !strings.Contains(text(l.At("Actions")), group) {
			r.fault(l.ID, "does not lead to %s", group)
		}
	}
	r.must("AWS::ApplicationAutoScaling::ScalableTarget", "ManagementCount")
}

// environments: what Beanstalk's environments hold on to lies in their options.
func (r *report) environments() {
	for _, e := range r.t.Of("AWS::ElasticBeanstalk::Environment") {
		name := strings.TrimSuffix(e.ID, "Environment")
		options := environmentOptions(e)
		want := map[string]string{
			"aws:elasticbeanstalk:application:environment CARASSO_LOG_GROUP": name + "Log",
			"aws:autoscaling:launchconfiguration SecurityGroups":             name + "Group",
			"aws:ec2:vpc VPCId": "Vpc",
		}
		if e.At("Tier", "Name") == "Worker" {
			want["aws:elasticbeanstalk:sqsd WorkerQueueURL"] = "IdleQueue"
		} else {
			want["aws:elbv2:loadbalancer SharedLoadBalancer"] = "Balancer"
		}
		for option, part := range want {
			if !strings.Contains(options[option], part) {
				r.fault(e.ID, "%s is %q, want one with %s", option, options[option], part)
			}
		}
	}
}

// environmentOptions are an environment's options, by namespace and name.
func environmentOptions(e Resource) map[string]string {
	options := map[string]string{}
	for _, o := range List(e.At("OptionSettings")) {
		ns, _ := at(o, "Namespace").(string)
		key, _ := at(o, "OptionName").(string)
		options[ns+" "+key] = strings.Trim(text(at(o, "Value")), `"`)
	}
	return options
}
