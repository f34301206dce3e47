package check

import (
	"slices"
	"strings"
)

func (r *report) queue(sizes Sizes) {
	if sizes.Visibility <= sizes.LongestFlush+sizes.StopTimeout {
		r.fault("Envelopes", "visibility %d s is not longer than flush and stop, %d s", sizes.Visibility, sizes.LongestFlush+sizes.StopTimeout)
	}
	for _, name := range []string{"Envelopes", "DeadLetters"} {
		q, ok := r.must("AWS::SQS::Queue", name)
		if !ok {
			continue
		}
		r.is(q, sizes.Visibility, "VisibilityTimeout")
		r.is(q, sizes.Retention, "MessageRetentionPeriod")
		if q.At("KmsMasterKeyId") == nil {
			r.fault(q.ID, "is not encrypted with our key")
		}
		if q.Policy != "Retain" {
			r.fault(q.ID, "goes with the stack")
		}
		r.tlsOnly("AWS::SQS::QueuePolicy", q.ID, "Queues")
	}
	if q, ok := r.t.Named("AWS::SQS::Queue", "Envelopes"); ok {
		r.is(q, sizes.MaxReceive, "RedrivePolicy", "maxReceiveCount")
		if !strings.Contains(text(q.At("RedrivePolicy", "deadLetterTargetArn")), "DeadLetters") {
			r.fault(q.ID, "has no dead-letter queue")
		}
	}
}

// tlsOnly wants a policy for the resource that denies whatever does not come over TLS.
func (r *report) tlsOnly(kind, id, of string) {
	for _, p := range r.t.Of(kind) {
		if !strings.Contains(text(p.At(of)), id) {
			continue
		}
		for _, s := range List(p.At("PolicyDocument", "Statement")) {
			if at(s, "Effect") == "Deny" && at(s, "Condition", "Bool", "aws:SecureTransport") == "false" {
				return
			}
		}
	}
	r.fault(id, "may be used without TLS")
}

func (r *report) buckets() {
	found := 0
	for _, b := range r.t.Of("AWS::S3::Bucket") {
		found++
		for _, p := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
			r.is(b, true, "PublicAccessBlockConfiguration", p)
		}
		want := "AES256"
		if strings.HasPrefix(b.ID, "Raw") {
			want = "aws:kms"
		}
		r.is(b, want, "BucketEncryption", "ServerSideEncryptionConfiguration", 0, "ServerSideEncryptionByDefault", "SSEAlgorithm")
		r.is(b, "BucketOwnerEnforced", "OwnershipControls", "Rules", 0, "ObjectOwnership")
		if b.Policy != "Retain" {
			r.fault(b.ID, "goes with the stack")
		}
		if b.At("LifecycleConfiguration") == nil {
			r.fault(b.ID, "has no lifecycle")
		}
		r.tlsOnly("AWS::S3::BucketPolicy", b.ID, "Bucket")
	}
	if found != 3 {
		r.fault("buckets", "%d, want raw, tiles and logs", found)
	}
	raw, ok := r.must("AWS::S3::Bucket", "Raw")
	if !ok {
		return
	}
	for _, rule := range List(raw.At("LifecycleConfiguration", "Rules")) {
		prefix, _ := at(rule, "Prefix").(string)
		if at(rule, "ExpirationInDays") != nil && prefix != "raw/" && prefix != "quarantine/" && prefix != "athena/" {
			r.fault(raw.ID, "objects under %q end by age: maps have none", prefix)
		}
		before := 0.0 // storage classes in the order of their days, and all before the end
		for _, tr := range List(at(rule, "Transitions")) {
			days, _ := at(tr, "TransitionInDays").(float64)
			if days <= before {
				r.fault(raw.ID, "transitions are out of order")
			}
			before = days
		}
		if end, ok := at(rule, "ExpirationInDays").(float64); ok && end <= before {
			r.fault(raw.ID, "objects end before they are moved")
		}
	}
	for _, prefix := range []string{"raw/", "quarantine/", "athena/"} {
		if !slices.ContainsFunc(List(raw.At("LifecycleConfiguration", "Rules")), func(rule any) bool { return at(rule, "Prefix") == prefix && at(rule, "ExpirationInDays") != nil }) {
			r.fault(raw.ID, "objects under %s never end", prefix)
		}
	}
	if tiles, ok := r.must("AWS::S3::Bucket", "Tiles"); ok && strings.Contains(text(tiles.At("LifecycleConfiguration")), "ExpirationInDays") {
		r.fault(tiles.ID, "tiles end by age, but the newest may be old")
	}
}

func (r *report) live() {
	t, ok := r.must("AWS::DynamoDB::Table", "Live")
	if !ok {
		return
	}
	r.is(t, "PAY_PER_REQUEST", "BillingMode")
	r.is(t, "k", "KeySchema", 0, "AttributeName")
	r.is(t, "expires", "TimeToLiveSpecification", "AttributeName")
	r.is(t, true, "TimeToLiveSpecification", "Enabled")
	r.is(t, true, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled")
	r.is(t, true, "SSESpecification", "SSEEnabled")
	r.is(t, true, "DeletionProtectionEnabled")
	if t.At("SSESpecification", "KMSMasterKeyId") == nil {
		r.fault(t.ID, "is not encrypted with our key")
	}
}

func (r *report) database() {
	d, ok := r.must("AWS::RDS::DBInstance", "Database")
	if !ok {
		return
	}
	for _, name := range []string{
		"MultiAZ", "StorageEncrypted", "EnableIAMDatabaseAuthentication", "ManageMasterUserPassword", "EnablePerformanceInsights", "DeletionProtection", "CopyTagsToSnapshot",
	} {
		r.is(d, true, name)
	}
	r.is(d, false, "PubliclyAccessible")
	r.is(d, 14, "BackupRetentionPeriod")
	if d.At("KmsKeyId") == nil || d.At("MasterUserPassword") != nil || d.Policy != "Snapshot" {
		r.fault(d.ID, "no key of ours, a password in the template, or no snapshot at the end")
	}
	p, ok := r.must("AWS::RDS::DBParameterGroup", "DatabaseParameters")
	if !ok {
		return
	}
	r.is(p, "1", "Parameters", "rds.force_ssl")
	r.is(p, "on", "Parameters", "synchronous_commit")
	values, _ := p.At("Parameters").(map[string]any)
	for name, v := range values {
		if _, ok := v.(string); !ok {
			r.fault(p.ID, "%s is no text, which RDS wants", name)
		}
	}
	for _, name := range []string{"max_connections", "max_wal_size", "checkpoint_timeout", "wal_compression", "autovacuum_vacuum_insert_scale_factor"} {
		if p.At("Parameters", name) == nil {
			r.fault(p.ID, "%s is not tuned", name)
		}
	}
	if !strings.Contains(text(d.At("DBParameterGroupName")), p.ID) {
		r.fault(d.ID, "does not use its parameters")
	}
}

func (r *report) archive() {
	t, ok := r.must("AWS::Glue::Table", "ArchiveTable")
	if !ok {
		return
	}
	r.is(t, "true", "TableInput", "Parameters", "projection.enabled")
	r.is(t, "yyyy/MM/dd/HH", "TableInput", "Parameters", "projection.hour.format")
	if where := text(t.At("TableInput", "Parameters", "storage.location.template")); !strings.Contains(where, "/raw/${hour}/") || !strings.Contains(where, "Raw") {
		r.fault(t.ID, "hours are not found where workers put them: %s", where)
	}
	if len(List(t.At("TableInput", "StorageDescriptor", "Columns"))) < 10 {
		r.fault(t.ID, "has too few columns")
	}
	if w, ok := r.must("AWS::Athena::WorkGroup", "Analysts"); ok {
		r.is(w, true, "WorkGroupConfiguration", "EnforceWorkGroupConfiguration")
		r.is(w, true, "RecursiveDeleteOption")
		if where := text(w.At("WorkGroupConfiguration", "ResultConfiguration", "OutputLocation")); !strings.Contains(where, "/athena/") {
			r.fault(w.ID, "results are put where they never end: %s", where)
		}
		if w.At("WorkGroupConfiguration", "ResultConfiguration", "EncryptionConfiguration") == nil || w.At("WorkGroupConfiguration", "BytesScannedCutoffPerQuery") == nil {
			r.fault(w.ID, "results are not encrypted, or queries not bounded")
		}
	}
}

// delivery: only CloudFront reads the tiles' bucket, only what is published, only for our distribution.
func (r *report) delivery() {
	d, ok := r.must("AWS::CloudFront::Distribution", "Delivery")
	if !ok {
		return
	}
	if !strings.Contains(text(d.At("DistributionConfig", "Origins")), "TilesAccess") {
		r.fault(d.ID, "no origin access control")
	}
	if text(d.At("DistributionConfig")) == "" || !strings.Contains(text(d.At("DistributionConfig", "DefaultCacheBehavior", "ViewerProtocolPolicy")), "https") {
		r.fault(d.ID, "answers without TLS")
	}
	if kept, ok := r.must("AWS::CloudFront::CachePolicy", "Answers"); ok {
		if !strings.Contains(text(d.At("DistributionConfig", "CacheBehaviors")), `"CachePolicyId":{"Ref":"`+kept.ID+`"}`) {
			r.fault(d.ID, "keeps answers by another policy than %s", kept.ID)
		}
		// What is in the key is sent on, and the load balancer tells services by the host.
		if kept.At("CachePolicyConfig", "ParametersInCacheKeyAndForwardedToOrigin", "HeadersConfig", "HeaderBehavior") != "none" {
			r.fault(kept.ID, "sends headers on to an origin that goes by the host")
		}
	}
	p, ok := r.must("AWS::S3::BucketPolicy", "TilesPolicy")
	if !ok {
		return
	}
	reads := 0
	for _, s := range List(p.At("PolicyDocument", "Statement")) {
		if at(s, "Effect") != "Allow" {
			continue
		}
		reads++
		where := text(at(s, "Resource"))
		if at(s, "Principal", "Service") != "cloudfront.amazonaws.com" || at(s, "Action") != "s3:GetObject" ||
			!strings.Contains(text(at(s, "Condition")), "Delivery") || !strings.Contains(where, "/tiles/*") || !strings.Contains(where, "/release/*") || strings.Contains(where, `"/*"`) {
			r.fault(p.ID, "lets in others than our distribution to what is published: %s", text(s))
		}
	}
	if reads != 1 {
		r.fault(p.ID, "%d statements allow something, want 1", reads)
	}
}

func (r *report) secrets() {
	k, ok := r.must("AWS::KMS::Key", "Key")
	if ok {
		r.is(k, true, "EnableKeyRotation")
		if k.Policy != "Retain" {
			r.fault(k.ID, "goes with the stack, and all data with it")
		}
	}
	if s, ok := r.must("AWS::SecretsManager::Secret", "MasterKey"); ok {
		r.is(s, 43, "GenerateSecretString", "PasswordLength")
		r.is(s, true, "GenerateSecretString", "ExcludePunctuation")
		if s.At("KmsKeyId") == nil || s.At("SecretString") != nil {
			r.fault(s.ID, "is not encrypted with our key, or stands in the template")
		}
	}
}
