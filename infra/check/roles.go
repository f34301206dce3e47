package check

import (
	"slices"
	"strings"
)

// statement is a statement of a role's policies.
type statement struct {
	actions, resources []string
	condition          any
	raw                string
}

// of are the statements of the policies attached to the role whose id begins with role.
func (t Templates) statements(role string) []statement {
	var all []statement
	for _, p := range append(t.Of("AWS::IAM::Policy"), t.Of("AWS::IAM::Role")...) {
		var documents []any
		if p.Type == "AWS::IAM::Policy" {
			ref, _ := p.At("Roles", 0, "Ref").(string)
			if ref == "" || ref[:len(ref)-8] != role {
				continue
			}
			documents = append(documents, p.At("PolicyDocument"))
		} else if len(p.ID) > 8 && p.ID[:len(p.ID)-8] == role {
			for _, inline := range List(p.At("Policies")) {
				documents = append(documents, at(inline, "PolicyDocument"))
			}
		}
		for _, d := range documents {
			for _, s := range List(at(d, "Statement")) {
				if at(s, "Effect") != "Allow" {
					continue
				}
				st := statement{condition: at(s, "Condition"), raw: text(s)}
				for _, a := range List(at(s, "Action")) {
					st.actions = append(st.actions, strings.Trim(text(a), `"`))
				}
				for _, x := range List(at(s, "Resource")) {
					st.resources = append(st.resources, text(x))
				}
				all = append(all, st)
			}
		}
	}
	return all
}

// may are the actions that a role may do on resources whose text holds on, in order.
func (t Templates) may(role, on string) []string {
	var actions []string
	for _, s := range t.statements(role) {
		if slices.ContainsFunc(s.resources, func(r string) bool { return strings.Contains(r, on) || r == `"*"` }) {
			actions = append(actions, s.actions...)
		}
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}

// roles: exactly what each service's process may do, by what. A grant more or less is a fault.
func (r *report) roles(target string) {
	get, put, del, ls := "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"
	consume := []string{"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}
	items := []string{"dynamodb:GetItem", "dynamodb:PutItem"}
	for role, want := range map[string]map[string][]string{
		"ReceiverRole": {
			":ExportsOutputFnGetAttEnvelopes": {"sqs:SendMessage"}, "DeadLetters": nil, "Live": items, "AttRaw": nil, "AttTiles": nil, "dbuser": nil, "DatabaseMaster": nil, "MasterKey": nil,
		},
		"WorkerRole": {
			":ExportsOutputFnGetAttEnvelopes": consume, "DeadLetters": consume, "Live": items, "/raw/*": {get, put}, "/quarantine/*": {get, put}, "/map/*": {get},
			"/tiles/*": {del, get, put}, "/release/*": nil, "dbuser": {"rds-db:connect"}, "MasterKey": nil,
		},
		"ManagementRole": {
			":ExportsOutputFnGetAttEnvelopes": {"sqs:GetQueueAttributes"}, "DeadLetters": {"sqs:GetQueueAttributes"}, "Live": {"dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"},
			"/raw/*": {get}, "/quarantine/*": {get}, "/map/*": {get}, "/tiles/*": {get}, "/release/*": {get}, "dbuser": {"rds-db:connect"}, "MasterKey": nil,
		},
		"JobsRole": {
			":ExportsOutputFnGetAttEnvelopes": nil, "DeadLetters": nil, "Live": {"dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"}, "/raw/*": {del, get, put}, "/quarantine/*": {del, get, put}, "/map/*": {get}, "/import/*": {get},
			"/tiles/*": {del, get, put}, "/release/*": {del, get, put}, "dbuser": {"rds-db:connect"}, "MasterKey": nil,
		},
		"MigrateRole": {":ExportsOutputFnGetAttEnvelopes": nil, "DeadLetters": nil, "Live": nil, "AttRaw": nil, "AttTiles": nil, "dbuser": {"rds-db:connect"}, "Key": nil},
	} {
		if _, ok := r.must("AWS::IAM::Role", role); !ok {
			continue
		}
		for on, actions := range want {
			if target == "beanstalk" && on == "MasterKey" {
				continue // an instance has one role, which also starts the process
			}
			have := slices.DeleteFunc(r.t.may(role, on), func(a string) bool { return a == ls || wild[a] != "" })
			if !slices.Equal(have, actions) {
				r.fault(role, "may %v on %s, want %v", have, on, actions)
			}
		}
		for _, s := range r.t.statements(role) {
			if slices.ContainsFunc(s.actions, func(a string) bool { return strings.HasSuffix(a, "*") }) {
				r.fault(role, "wild actions: %s", s.raw)
			}
			if strings.Contains(s.raw, "dynamodb:") && at(s.condition, "ForAllValues:StringLike", "dynamodb:LeadingKeys") == nil {
				r.fault(role, "reaches all of the live store: %s", s.raw)
			}
			if slices.Contains(s.actions, ls) && at(s.condition, "StringLikeIfExists", "s3:prefix") == nil {
				r.fault(role, "lists all of a bucket, or is denied what is merely missing: %s", s.raw)
			}
		}
	}
	// The registry of vehicles (their day keys and status) is closed to whoever handles positions; jobs may delete from it, blindly.
	for _, role := range []string{"WorkerRole", "JobsRole"} {
		for _, s := range r.t.statements(role) {
			blind := role == "JobsRole" && slices.Equal(s.actions, []string{"dynamodb:DeleteItem"})
			if strings.Contains(s.raw, "pseudonym-key") || strings.Contains(s.raw, "vehicle/") && !blind {
				r.fault(role, "may touch the registry of vehicles: %s", s.raw)
			}
		}
	}
}

// wild are the actions that know no resource, so that nothing but "*" can be said, with why each is there.
var wild = map[string]string{ //nolint:gosec // G101: an action's name
	"ecr:GetAuthorizationToken": "logging in to the registry is by account; pulling is by repository",
}

// wildcards: no policy of a role covers everything, but for what can't be told otherwise.
func (r *report) wildcards() {
	for _, p := range r.t.Of("AWS::IAM::Policy") {
		for _, s := range List(p.At("PolicyDocument", "Statement")) {
			if at(s, "Effect") != "Allow" {
				continue
			}
			everything := slices.ContainsFunc(List(at(s, "Resource")), func(x any) bool { return x == "*" })
			for _, a := range List(at(s, "Action")) {
				name, _ := a.(string)
				if name == "*" || strings.HasSuffix(name, ":*") {
					r.fault(p.ID, "may do everything: %s", name)
				}
				if everything && wild[name] == "" {
					r.fault(p.ID, "may %s on everything", name)
				}
			}
		}
	}
	for _, role := range r.t.Of("AWS::IAM::Role") {
		for _, m := range List(role.At("ManagedPolicyArns")) {
			if s := text(m); !strings.Contains(s, "AmazonRDSEnhancedMonitoringRole") && !strings.Contains(s, "AWSElasticBeanstalk") {
				r.fault(role.ID, "has a managed policy: %s", s)
			}
		}
	}
}
