package main

import (
	scale "github.com/aws/aws-cdk-go/awscdk/v2/awsapplicationautoscaling"

	"github.com/carasso/carasso/internal/scaling"
)

// autoscaling: what services are scaled by. Scaling in kills no work: ECS tells a task to stop, it drains within
// stopTimeout, and what a worker still held is redelivered.
func (f *fargate) autoscaling(d *data, p *platform, i *ingress) {
	target := func(name string, least, most float64) scale.CfnScalableTarget {
		t := scale.NewCfnScalableTarget(f.stack, str(title(name)+"Count"), &scale.CfnScalableTargetProps{
			ServiceNamespace: str("ecs"), ScalableDimension: str("ecs:service:DesiredCount"),
			ResourceId:  str("service/" + *p.cluster.ClusterName() + "/" + *f.services[name].ServiceName()),
			MinCapacity: num(least), MaxCapacity: num(most),
		})
		f.scaled[name] = t
		return t
	}
	track := func(id string, t scale.CfnScalableTarget, c *scale.CfnScalingPolicy_TargetTrackingScalingPolicyConfigurationProperty) {
		c.ScaleOutCooldown, c.ScaleInCooldown = num(scaling.ScaleOutCooldown.Seconds()), num(scaling.ScaleInCooldown.Seconds())
		scale.NewCfnScalingPolicy(f.stack, str(id), &scale.CfnScalingPolicyProps{
			PolicyName: str(id), PolicyType: str("TargetTrackingScaling"), ScalingTargetId: t.Ref(), TargetTrackingScalingPolicyConfiguration: c,
		})
	}
	cpu := func(percent float64) *scale.CfnScalingPolicy_TargetTrackingScalingPolicyConfigurationProperty {
		return &scale.CfnScalingPolicy_TargetTrackingScalingPolicyConfigurationProperty{
			TargetValue:                   num(percent),
			PredefinedMetricSpecification: &scale.CfnScalingPolicy_PredefinedMetricSpecificationProperty{PredefinedMetricType: str("ECSServiceAverageCPUUtilization")},
		}
	}
	receivers := target(receiver, minReceivers, maxReceivers)
	track("ReceiverRequests", receivers, &scale.CfnScalingPolicy_TargetTrackingScalingPolicyConfigurationProperty{
		TargetValue: num(requestsPerTarget),
		PredefinedMetricSpecification: &scale.CfnScalingPolicy_PredefinedMetricSpecificationProperty{
			PredefinedMetricType: str("ALBRequestCountPerTarget"),
			ResourceLabel:        str(*i.balancer.LoadBalancerFullName() + "/" + *i.receiver.TargetGroupFullName()),
		},
	})
	track("ReceiverProcessor", receivers, cpu(receiverCPU))
	track("ManagementProcessor", target(management, scaling.MinManagement, scaling.MaxManagement), cpu(60))

	workers := target(worker, minWorkers, maxWorkers)
	track("WorkerBacklog", workers, f.backlog(d, p))
	track("WorkerProcessor", workers, cpu(scaling.WorkerCPUPercent))
	f.surge(d, workers)
}

// backlog tracks B = L·µ envelopes a running worker, waiting and in flight together as internal/scaling counts them.
// A predefined metric can't divide, and a custom one of our own would be late by another minute.
func (f *fargate) backlog(d *data, p *platform) *scale.CfnScalingPolicy_TargetTrackingScalingPolicyConfigurationProperty {
	type dimension = scale.CfnScalingPolicy_TargetTrackingMetricDimensionProperty
	metric := func(id, namespace, name, stat string, dimensions ...any) any {
		return &scale.CfnScalingPolicy_TargetTrackingMetricDataQueryProperty{
			Id: str(id), ReturnData: no(),
			MetricStat: &scale.CfnScalingPolicy_TargetTrackingMetricStatProperty{
				Stat: str(stat), Metric: &scale.CfnScalingPolicy_TargetTrackingMetricProperty{
					Namespace: str(namespace), MetricName: str(name), Dimensions: &dimensions,
				},
			},
		}
	}
	queue := &dimension{Name: str("QueueName"), Value: d.queue.QueueName()}
	metrics := []any{
		metric("visible", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", queue),
		metric("flying", "AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "Maximum", queue),
		metric("running", "ECS/ContainerInsights", "RunningTaskCount", "Average",
			&dimension{Name: str("ClusterName"), Value: p.cluster.ClusterName()},
			&dimension{Name: str("ServiceName"), Value: f.services[worker].ServiceName()}),
		&scale.CfnScalingPolicy_TargetTrackingMetricDataQueryProperty{
			Id: str("backlog"), Label: str("Envelopes per running worker"), ReturnData: yes(),
			Expression: str("(visible + flying) / IF(running > 0, running, 1)"),
		},
	}
	return &scale.CfnScalingPolicy_TargetTrackingScalingPolicyConfigurationProperty{
		TargetValue:                   num(scaling.AllowedBacklog),
		CustomizedMetricSpecification: &scale.CfnScalingPolicy_CustomizedMetricSpecificationProperty{Metrics: &metrics},
	}
}
