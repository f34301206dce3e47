package check

import "strings"

// reach: every subnet has its routes, and each connection that is needed may be made, at both ends.
func (r *report) reach(port int) {
	routed, out := map[string]bool{}, map[string]bool{}
	for _, a := range r.t.Of("AWS::EC2::SubnetRouteTableAssociation") {
		routed[text(a.At("SubnetId", "Ref"))] = true
	}
	for _, x := range r.t.Of("AWS::EC2::Route") {
		if x.At("GatewayId") != nil {
			out[subnet(text(x.At("RouteTableId", "Ref")))] = true
		}
	}
	for _, s := range r.t.Of("AWS::EC2::Subnet") {
		if !routed[text(s.ID)] {
			r.fault(s.ID, "has no routes")
		}
		if subnetGroup(s.ID) == "public" && !out[subnet(s.ID)] {
			r.fault(s.ID, "has no route to the internet")
		}
	}
	const database = 5432
	for _, c := range []struct {
		from, to string
		port     int
	}{
		{"Balancer", "Receiver", port},
		{"Balancer", "Management", port},
		{"Worker", "Database", database},
		{"Management", "Database", database},
		{"Jobs", "Database", database},
	} {
		r.connects("AWS::EC2::SecurityGroupEgress", "DestinationSecurityGroupId", c.from, c.to, c.port)
		r.connects("AWS::EC2::SecurityGroupIngress", "SourceSecurityGroupId", c.to, c.from, c.port)
	}
	if len(r.t.Of("AWS::EC2::FlowLog")) == 0 {
		r.fault("Vpc", "rejected packets are not logged")
	}
}

// connects: the group has a rule of that kind, to or from the other.
func (r *report) connects(kind, peer, group, other string, port int) {
	for _, x := range r.t.Of(kind) {
		here, _ := x.At("GroupId", "Fn::GetAtt", 0).(string)
		there, _ := x.At(peer, "Fn::GetAtt", 0).(string)
		if strings.HasPrefix(here, group+"Group") && strings.HasPrefix(there, other+"Group") && x.At("FromPort") == float64(port) && x.At("ToPort") == float64(port) {
			return
		}
	}
	r.fault(group+"Group", "has no %s for %sGroup on %d", strings.TrimPrefix(kind, "AWS::EC2::SecurityGroup"), other, port)
}

// subnet is the subnet in a CDK's logical id: worker2 of VpcworkerSubnet2RouteTable….
func subnet(id string) string {
	_, number, _ := strings.Cut(id, "Subnet")
	return subnetGroup(id) + number[:min(1, len(number))]
}
