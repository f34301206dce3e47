package main

import (
	scale "github.com/aws/aws-cdk-go/awscdk/v2/awsapplicationautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"

	"github.com/carasso/carasso/internal/scaling"
)

// surge adds workers by how old the oldest envelope is: target tracking looks at averages of three minutes, and within
// those a 100x surge is far behind.
func (f *fargate) surge(d *data, workers scale.CfnScalableTarget) {
	ageSteps := scaling.AgeSteps()
	first := ageSteps[0].Age.Seconds()
	var steps []any
	for i, s := range ageSteps {
		step := &scale.CfnScalingPolicy_StepAdjustmentProperty{
			ScalingAdjustment: num(s.Percent), MetricIntervalLowerBound: num(s.Age.Seconds() - first),
		}
		if i+1 < len(ageSteps) {
			step.MetricIntervalUpperBound = num(ageSteps[i+1].Age.Seconds() - first)
		}
		steps = append(steps, step)
	}
	policy := scale.NewCfnScalingPolicy(f.stack, str("WorkerSurge"), &scale.CfnScalingPolicyProps{
		PolicyName: str("WorkerSurge"), PolicyType: str("StepScaling"), ScalingTargetId: workers.Ref(),
		StepScalingPolicyConfiguration: &scale.CfnScalingPolicy_StepScalingPolicyConfigurationProperty{
			AdjustmentType: str("PercentChangeInCapacity"), MinAdjustmentMagnitude: num(minWorkers),
			Cooldown: num(scaling.ScaleOutCooldown.Seconds()), MetricAggregationType: str("Maximum"), StepAdjustments: &steps,
		},
	})
	awscloudwatch.NewCfnAlarm(f.stack, str("WorkerSurgeAlarm"), &awscloudwatch.CfnAlarmProps{
		AlarmDescription: str("Adds workers; nobody needs to do anything. See QueueAge in the runbook for what does."),
		Namespace:        str("AWS/SQS"), MetricName: str("ApproximateAgeOfOldestMessage"), Statistic: str("Maximum"),
		Dimensions: &[]any{&awscloudwatch.CfnAlarm_DimensionProperty{Name: str("QueueName"), Value: d.queue.QueueName()}},
		Period:     num(60), EvaluationPeriods: num(1), ComparisonOperator: str("GreaterThanOrEqualToThreshold"), Threshold: num(first),
		TreatMissingData: str("notBreaching"), AlarmActions: &[]any{policy.Ref()},
	})
}
