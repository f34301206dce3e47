package check

import "strings"

// people: what those who deploy and operate go by is there.
func (r *report) people() {
	outputs := map[string]bool{}
	for _, o := range r.t.Of(Output) {
		outputs[o.ID] = true
	}
	for _, name := range []string{"NameServers", "Repository", "MigrationTask", "MigrationSubnets", "MigrationGroup", "CarsAddress", "PortalAddress", "TilesAddress", "Bucket", "TileBucket"} {
		if !outputs[name] {
			r.fault(name, "there is no such output")
		}
	}
	r.must("AWS::Athena::NamedQuery", "SpeedsOfAnHour")
	r.must("AWS::KMS::Alias", "KeyAlias")
	r.must("AWS::ECS::Cluster", "Cluster") // migrations are a task on both targets
	for _, l := range r.t.Of("AWS::Logs::LogGroup") {
		r.is(l, 30, "RetentionInDays") // addresses and times are people's
	}
	told := false
	for _, s := range r.t.Of("AWS::SNS::Subscription") {
		told = told || strings.Contains(text(s.At("TopicArn")), "Operators")
	}
	if !told {
		r.fault("Operators", "nobody is subscribed")
	}
	if p, ok := r.must("AWS::SNS::TopicPolicy", "OperatorsPolicy"); ok && !strings.Contains(text(p.At("PolicyDocument")), `"aws:SecureTransport":"false"`) {
		r.fault(p.ID, "lets plain HTTP in")
	}
}

// attached: every role may do something, and every queue says who may use it.
func (r *report) attached() {
	may, guarded := map[string]bool{}, map[string]bool{}
	for _, p := range r.t.Of("AWS::IAM::Policy") {
		for _, role := range List(p.At("Roles")) {
			id, _ := at(role, "Ref").(string)
			may[p.Stack+id] = true
		}
	}
	for _, role := range r.t.Of("AWS::IAM::Role") {
		if strings.HasPrefix(role.ID, "MigrateRole") {
			continue // it logs in to PostgreSQL with a password that its task is given, and does nothing else
		}
		if !may[role.Stack+role.ID] && len(List(role.At("Policies"))) == 0 && len(List(role.At("ManagedPolicyArns"))) == 0 {
			r.fault(role.ID, "may do nothing")
		}
	}
	for _, p := range r.t.Of("AWS::SQS::QueuePolicy") {
		for _, q := range List(p.At("Queues")) {
			id, _ := at(q, "Ref").(string)
			guarded[p.Stack+id] = true
		}
	}
	for _, q := range r.t.Of("AWS::SQS::Queue") {
		if !guarded[q.Stack+q.ID] {
			r.fault(q.ID, "has no policy: plain HTTP is let in")
		}
	}
}
