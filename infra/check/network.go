package check

import (
	"fmt"
	"strings"
)

// network: three zones; routes out only where they may be; endpoints; who may connect to whom.
func (r *report) network(target string) {
	groups := map[string]map[any]bool{} // by subnet group, zones
	for _, s := range r.t.Of("AWS::EC2::Subnet") {
		name := subnetGroup(s.ID)
		if groups[name] == nil {
			groups[name] = map[any]bool{}
		}
		groups[name][s.At("AvailabilityZone")] = true
		r.is(s, false, "MapPublicIpOnLaunch")
	}
	for _, name := range []string{"public", "receiver", "worker", "management", "jobs", "data"} {
		if len(groups[name]) != 3 {
			r.fault(name, "subnets in %d zones, want 3", len(groups[name]))
		}
	}
	nat := 0
	for _, route := range r.t.Of("AWS::EC2::Route") {
		table := subnetGroup(strings.TrimSuffix(text(route.At("RouteTableId", "Ref")), `"`))
		switch {
		case route.At("NatGatewayId") != nil:
			nat++
			if table != "management" && table != "jobs" {
				r.fault(route.ID, "a route to the NAT gateway from subnets %q, which are on the data path", table)
			}
		case route.At("GatewayId") != nil && table != "public":
			r.fault(route.ID, "a route to the internet from subnets %q", table)
		}
	}
	if nat != 6 {
		r.fault("Vpc", "%d routes to the NAT gateway, want 6: of management and jobs", nat)
	}
	var all strings.Builder
	for _, e := range r.t.Of("AWS::EC2::VPCEndpoint") {
		all.WriteString(text(e.At("ServiceName")) + text(e.At("VpcEndpointType")) + "\n")
		if e.At("VpcEndpointType") == "Interface" {
			r.is(e, true, "PrivateDnsEnabled")
		}
	}
	want := []string{`.s3"]]}"Gateway`, `.dynamodb"]]}"Gateway`, ".sqs\"", ".ecr.api", ".ecr.dkr", ".logs\"", ".secretsmanager", ".kms\""}
	if target == "beanstalk" {
		want = append(want, ".elasticbeanstalk\"", ".elasticbeanstalk-health", ".cloudformation\"")
	}
	for _, w := range want {
		if !strings.Contains(all.String(), w) {
			r.fault("endpoints", "none for %s", w)
		}
	}
	r.groups()
}

// subnetGroup is the group in a CDK's logical id: VpcreceiverSubnet1Subnet….
func subnetGroup(id string) string {
	_, after, _ := strings.Cut(id, "Vpc")
	group, _, _ := strings.Cut(after, "Subnet")
	return group
}

// groups: from anywhere, only the load balancer's ports can be reached; the database only by its clients.
func (r *report) groups() {
	open := map[string]bool{}
	look := func(group string, rule any) {
		if at(rule, "CidrIp") == "0.0.0.0/0" || at(rule, "CidrIpv6") != nil {
			open[fmt.Sprint(group, " ", at(rule, "FromPort"), "-", at(rule, "ToPort"))] = true
		}
	}
	toDatabase := map[string]bool{}
	for _, g := range r.t.Of("AWS::EC2::SecurityGroup") {
		for _, rule := range List(g.At("SecurityGroupIngress")) {
			look(g.ID[:len(g.ID)-8], rule)
		}
		for _, rule := range List(g.At("SecurityGroupEgress")) {
			if at(rule, "IpProtocol") == "-1" {
				r.fault(g.ID, "may connect to everything")
			}
		}
	}
	for _, i := range r.t.Of("AWS::EC2::SecurityGroupIngress") {
		group, _ := at(i.Properties, "GroupId", "Fn::GetAtt", 0).(string)
		if group == "" {
			group = text(i.At("GroupId"))
		}
		look(group, i.Properties)
		if strings.Contains(group, "DatabaseGroup") {
			toDatabase[strings.TrimRight(fmt.Sprint(at(i.Properties, "SourceSecurityGroupId", "Fn::GetAtt", 0)), "0123456789ABCDEF")] = true
		}
	}
	delete(open, "BalancerGroup 443-443")
	delete(open, "BalancerGroup 8443-8443")
	for o := range open {
		r.fault(o, "is open to everybody")
	}
	if len(toDatabase) != 3 || !toDatabase["WorkerGroup"] || !toDatabase["ManagementGroup"] || !toDatabase["JobsGroup"] {
		r.fault("DatabaseGroup", "lets in %v, want workers, management and jobs", toDatabase)
	}
}
