package check

import "strings"

// beanstalk: the same four services as environments of the Docker platform.
func (r *report) beanstalk() {
	for name, tier := range map[string]string{"Receiver": "WebServer", "Management": "WebServer", "Worker": "Worker", "Jobs": "Worker"} {
		e, ok := r.must("AWS::ElasticBeanstalk::Environment", name+"Environment")
		if !ok {
			continue
		}
		r.is(e, tier, "Tier", "Name")
		options := environmentOptions(e)
		for option, want := range map[string]string{
			"aws:elasticbeanstalk:healthreporting:system SystemType":             "enhanced",
			"aws:elasticbeanstalk:command DeploymentPolicy":                      "Rolling",
			"aws:ec2:vpc AssociatePublicIpAddress":                               "false",
			"aws:autoscaling:launchconfiguration DisableIMDSv1":                  "true",
			"aws:elasticbeanstalk:application:environment CARASSO_SERVICE":       strings.ToLower(name),
			"aws:autoscaling:launchconfiguration DisableDefaultEC2SecurityGroup": "true",
			"aws:elasticbeanstalk:command BatchSize":                             "34",
		} {
			if !strings.HasPrefix(options[option], want) {
				r.fault(e.ID, "%s is %q, want %s", option, options[option], want)
			}
		}
		if group := options["aws:elbv2:loadbalancer SecurityGroups"]; tier == "WebServer" && !strings.Contains(group, "BalancerGroup") {
			r.fault(e.ID, "lets Beanstalk attach a security group of its own to the load balancer")
		}
		if sealed := options["aws:elasticbeanstalk:application:environmentsecrets CARASSO_MASTER_KEY"] != ""; sealed != (name != "Worker") {
			r.fault(e.ID, "is given the master key: %v", sealed)
		}
		if !strings.Contains(options["aws:elasticbeanstalk:environment ServiceRole"], "BeanstalkRole") {
			r.fault(e.ID, "has no service role, without which its platform is not updated, nor its health seen")
		}
		if !strings.Contains(options["aws:ec2:vpc Subnets"], "Vpc"+strings.ToLower(name)+"Subnet") {
			r.fault(e.ID, "runs in others' subnets")
		}
		if !strings.Contains(options["aws:autoscaling:launchconfiguration IamInstanceProfile"], name) {
			r.fault(e.ID, "has another's role")
		}
		if !strings.Contains(text(e.At("SolutionStackName"))+text(e.At("PlatformArn")), "Docker") {
			r.fault(e.ID, "is not on the Docker platform")
		}
	}
}
