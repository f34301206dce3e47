"""Runs cfn-guard with AWS Control Tower's rules over the templates, less the exceptions of guard_exceptions.txt.

Fails for a finding without an exception, and for an exception without a finding."""

import json
import pathlib
import platform
import re
import subprocess
import sys

here = pathlib.Path(__file__).parent
package = pathlib.Path(sys.argv[1])
system = "macos" if sys.platform == "darwin" else "ubuntu"
machine = "aarch64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
guard = package / "bin" / system / machine / "cfn-guard"
rules = package / "rules" / "control-tower" / "cfn-guard"

exceptions = {}
for line in (here / "guard_exceptions.txt").read_text().splitlines():
    if line.strip() and not line.startswith("#"):
        where, _, why = line.partition("  ")
        rule, resource = where.split()
        if len(why.strip()) < 20:
            sys.exit(f"guard_exceptions.txt: {where}: say why")
        exceptions[rule, resource] = False

# Only rules for services that are there: the others have nothing to say.
services = {"athena", "certificatemanager", "cloudfront", "cloudwatch", "dynamodb", "ec2", "ecr", "ecs", "elasticbeanstalk",
            "elasticloadbalancing", "glue", "iam", "kms", "rds", "s3", "secretsmanager", "sns", "sqs", "wafv2"}
folders = [str(d) for d in sorted(rules.iterdir()) if d.name in services]
findings = set()
for target in ("fargate", "beanstalk"):
    run = subprocess.run([guard, "validate", "-r", *folders, "-d", here / "templates" / target, "--show-summary", "none", "--output-format", "single-line-summary"],
                         capture_output=True, text=True)
    if run.returncode not in (0, 19):
        sys.exit(f"cfn-guard: {run.returncode}: {run.stderr[-2000:]}")
    resource = None
    for line in run.stdout.splitlines():
        if m := re.match(r"Resource = (\w+)", line.strip()):
            resource = m.group(1)
        elif m := re.search(r"\[(CT\.[A-Z0-9.]+)\]: (.*)", line):
            findings.add((m.group(1), re.sub(r"[0-9A-F]{8}$", "", resource), m.group(2)))
if not findings:
    sys.exit("cfn-guard found nothing at all, not even what is excepted: it did not run as it should")

bad = False
for rule, resource, text in sorted(findings):
    for key in ((rule, resource), (rule, "*")):
        if key in exceptions:
            exceptions[key] = True
            break
    else:
        bad = True
        print(f"{rule} {resource}: {text}")
for (rule, resource), used in exceptions.items():
    if not used:
        bad = True
        print(f"guard_exceptions.txt: {rule} {resource} is an exception for nothing")
print(f"cfn-guard: {len(findings)} findings, {len(exceptions)} exceptions", file=sys.stderr)
sys.exit(bad)
