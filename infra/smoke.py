"""Creates both targets' stacks in an emulator (moto) from the committed templates, in the order of a deployment, and looks at what is
there then. What the emulator does not know it passes over, and says so."""

import json
import logging
import os
import pathlib
import sys
import warnings

os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="eu-central-1")
import boto3  # noqa: E402
from moto import mock_aws  # noqa: E402
from moto.cloudformation.parsing import resource_class_from_type  # noqa: E402
from moto.rds.models import DBParameterGroup  # noqa: E402

# A reference to a parameter group gives its name; the emulator gives the group itself.
DBParameterGroup.physical_resource_id = property(lambda self: self.name)
# What is not supported is said once, at the end.
logging.disable(logging.WARNING)
warnings.simplefilter("ignore")
passed_over = set()

templates = pathlib.Path(__file__).parent / "templates"
stacks = ["Carasso-Network", "Carasso-Data", "Carasso-Platform", "Carasso-Services", "Carasso-Watch"]
parameters = {"ImageTag": "v1", "JwtPublicKey": "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----"}


def check(ok, what):
    if not ok:
        sys.exit(f"smoke: {what}")


# Attributes that the emulator does not have.
unsupported = ["DbiResourceId", "MasterUserSecret.SecretArn", "Endpoint.Address", "LoadBalancerFullName", "TargetGroupFullName"]


def without_unknown(template, certificate):
    """Gives references to what the emulator does not know a made-up value, or that of the certificate."""
    unknown = {k for k, r in template["Resources"].items() if resource_class_from_type(r["Type"]) is None}
    passed_over.update(template["Resources"][k]["Type"] for k in unknown)

    def known(x):
        if isinstance(x, list):
            return [known(v) for v in x]
        if not isinstance(x, dict):
            return x
        if x.get("Ref") in unknown:
            if template["Resources"][x["Ref"]]["Type"] == "AWS::CertificateManager::Certificate":
                return certificate
            return "arn:aws:unknown:eu-central-1:123456789012:" + x["Ref"]
        if "Fn::GetAtt" in x and (x["Fn::GetAtt"][0] in unknown or x["Fn::GetAtt"][1] in unsupported):
            return "arn:aws:unknown:eu-central-1:123456789012:" + "/".join(x["Fn::GetAtt"])
        return {k: known(v) for k, v in x.items()}

    return known(template)


def deploy(target):
    cf = boto3.client("cloudformation")
    certificate = boto3.client("acm").request_certificate(DomainName="cars.example.com")["CertificateArn"]
    made = {}
    for name in stacks:
        body = (templates / target / f"{name}.template.json").read_text()
        wanted = json.loads(body)
        body = json.dumps(without_unknown(wanted, certificate))
        boto3.client("s3").put_object(Bucket="deploy", Key=name, Body=body)  # larger than an inline template may be
        cf.create_stack(
            StackName=name, TemplateURL=f"https://s3.amazonaws.com/deploy/{name}", Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": k, "ParameterValue": parameters[k]} for k in wanted.get("Parameters", {}) if k in parameters])
        status = cf.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        check(status == "CREATE_COMPLETE", f"{target}: {name} is {status}")
        have = cf.describe_stack_resources(StackName=name)["StackResources"]
        made[name] = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in have if "LogicalResourceId" in r and "PhysicalResourceId" in r}
    return made


def look(made):
    def physical(stack, prefix):
        return next(v for k, v in made[stack].items() if k.startswith(prefix))

    sqs = boto3.client("sqs")
    url = next(v for k, v in made["Carasso-Data"].items() if k.startswith("Envelopes") and "Policy" not in k)
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    check(json.loads(attributes["RedrivePolicy"])["maxReceiveCount"] in (5, "5"), f"redrive policy {attributes['RedrivePolicy']}")
    check(attributes["VisibilityTimeout"] == "150", f"visibility {attributes['VisibilityTimeout']}")
    sqs.send_message(QueueUrl=url, MessageBody="x")
    check(len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1, "a message does not come out")

    db = boto3.client("dynamodb")
    table = physical("Carasso-Data", "Live")
    db.put_item(TableName=table, Item={"k": {"S": "tile/x"}, "expires": {"N": "1"}})
    check("Item" in db.get_item(TableName=table, Key={"k": {"S": "tile/x"}}), "an item does not come out")
    check(db.describe_table(TableName=table)["Table"]["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST", "billing mode")

    s3 = boto3.client("s3")
    for bucket in ("Raw", "Tiles", "Logs"):
        name = next(v for k, v in made["Carasso-Data"].items() if k.startswith(bucket) and "Policy" not in k)
        rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]  # of what is closed, it knows nothing
        check(rules, f"{bucket} is not encrypted")
        s3.put_object(Bucket=name, Key="raw/x", Body=b"x")

    ec2 = boto3.client("ec2")
    zones = {s["AvailabilityZone"] for s in ec2.describe_subnets()["Subnets"] if s["CidrBlock"].startswith("10.40.")}
    check(len(zones) == 3, f"zones {zones}")
    role = boto3.client("iam").get_role(RoleName=physical("Carasso-Platform", "ReceiverRole"))
    check(role["Role"]["AssumeRolePolicyDocument"], "no receiver's role")


for target in ("fargate", "beanstalk"):
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="deploy", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        made = deploy(target)
        look(made)
        total = sum(len(m) for m in made.values())
        print(f"smoke: {target}: {total} resources in {len(made)} stacks", file=sys.stderr)
print("smoke: not known to the emulator: " + ", ".join(sorted(passed_over)), file=sys.stderr)
