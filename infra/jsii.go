package main

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// CDK takes pointers everywhere.
func str(s string) *string                    { return jsii.String(s) }
func strs(s ...string) *[]*string             { return jsii.Strings(s...) }
func num(n float64) *float64                  { return jsii.Number(n) }
func yes() *bool                              { return jsii.Bool(true) }
func no() *bool                               { return jsii.Bool(false) }
func lasting(d time.Duration) awscdk.Duration { return awscdk.Duration_Seconds(num(d.Seconds())) }
func days(n float64) awscdk.Duration          { return awscdk.Duration_Days(num(n)) }
func output(s awscdk.Stack, name string, v, about *string) {
	awscdk.NewCfnOutput(s, str(name), &awscdk.CfnOutputProps{Value: v, Description: about})
}

// anys is a list for properties that also take lists of tokens.
func anys[T any](list *[]T) *[]any {
	out := make([]any, len(*list))
	for i, v := range *list {
		out[i] = v
	}
	return &out
}
