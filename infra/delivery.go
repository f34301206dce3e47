package main

import (
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfront"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfrontorigins"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
)

func whole(f float64) string { return strconv.FormatFloat(f, 'f', 0, 64) }

// delivery is CloudFront before what everybody reads: tile objects and releases straight from their bucket (immutable,
// by key), the tiles' API from management with its own cache headers. Other paths of the API are not cached and not
// served here.
func (d *data) delivery(c Config) {
	objects := awscloudfrontorigins.S3BucketOrigin_WithBucketDefaults(d.tiles, nil)
	access := awscloudfront.NewCfnOriginAccessControl(d.stack, str("TilesAccess"), &awscloudfront.CfnOriginAccessControlProps{
		OriginAccessControlConfig: &awscloudfront.CfnOriginAccessControl_OriginAccessControlConfigProperty{
			Name: str("carasso-tiles"), OriginAccessControlOriginType: str("s3"), SigningBehavior: str("always"), SigningProtocol: str("sigv4"),
		},
	})
	api := awscloudfrontorigins.NewHttpOrigin(str("portal."+c.Domain), &awscloudfrontorigins.HttpOriginProps{
		ProtocolPolicy: awscloudfront.OriginProtocolPolicy_HTTPS_ONLY, OriginSslProtocols: &[]awscloudfront.OriginSslPolicy{awscloudfront.OriginSslPolicy_TLS_V1_2},
	})
	// The managed policy that goes by the origin's headers has the viewer's host in its key, and what is in the key is sent on: the load
	// balancer knows no such host.
	kept := awscloudfront.NewCachePolicy(d.stack, str("Answers"), &awscloudfront.CachePolicyProps{
		CachePolicyName: str("carasso-answers"), Comment: str("As long as management says, by path and query"),
		MinTtl: awscdk.Duration_Seconds(num(0)), DefaultTtl: awscdk.Duration_Seconds(num(0)), MaxTtl: days(1),
		QueryStringBehavior: awscloudfront.CacheQueryStringBehavior_All(), EnableAcceptEncodingGzip: yes(), EnableAcceptEncodingBrotli: yes(),
	})
	headers := awscloudfront.ResponseHeadersPolicy_CORS_ALLOW_ALL_ORIGINS_WITH_PREFLIGHT_AND_SECURITY_HEADERS()
	fixed := &awscloudfront.BehaviorOptions{
		Origin: objects, ViewerProtocolPolicy: awscloudfront.ViewerProtocolPolicy_HTTPS_ONLY, ResponseHeadersPolicy: headers,
		CachePolicy: awscloudfront.CachePolicy_CACHING_OPTIMIZED(), AllowedMethods: awscloudfront.AllowedMethods_ALLOW_GET_HEAD_OPTIONS(),
		Compress: no(), // they are compressed
	}
	answers := &awscloudfront.BehaviorOptions{
		Origin: api, ViewerProtocolPolicy: awscloudfront.ViewerProtocolPolicy_HTTPS_ONLY, Compress: yes(),
		CachePolicy:         kept,
		OriginRequestPolicy: awscloudfront.OriginRequestPolicy_ALL_VIEWER_EXCEPT_HOST_HEADER(),
		AllowedMethods:      awscloudfront.AllowedMethods_ALLOW_GET_HEAD_OPTIONS(),
	}
	distribution := awscloudfront.NewDistribution(d.stack, str("Delivery"), &awscloudfront.DistributionProps{
		Comment: str("Carasso's tiles"), HttpVersion: awscloudfront.HttpVersion_HTTP2_AND_3,
		PriceClass:          awscloudfront.PriceClass_PRICE_CLASS_100,
		DefaultBehavior:     fixed,
		AdditionalBehaviors: &map[string]*awscloudfront.BehaviorOptions{"/v1/tiles*": answers},
	})
	resource := distribution.Node().DefaultChild().(awscloudfront.CfnDistribution)
	resource.AddPropertyOverride(str("DistributionConfig.Origins.0.OriginAccessControlId"), access.AttrId())
	resource.AddPropertyOverride(str("DistributionConfig.Origins.0.S3OriginConfig.OriginAccessIdentity"), "")
	d.tiles.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid: str("DeliveryReads"), Actions: strs("s3:GetObject"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(str("cloudfront.amazonaws.com"), nil)},
		Resources:  strs(*d.tiles.ArnForObjects(str("tiles/*")), *d.tiles.ArnForObjects(str("release/*"))),
		Conditions: &map[string]any{"StringEquals": map[string]any{"AWS:SourceArn": *d.stack.FormatArn(&awscdk.ArnComponents{
			Service: str("cloudfront"), Region: str(""), Resource: str("distribution"), ResourceName: distribution.DistributionId(),
		})}},
	}))
	output(d.stack, "TilesAddress", distribution.DistributionDomainName(), str("Where cars and maps read tiles"))
}
