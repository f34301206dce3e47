#!/bin/bash
# Compose pulls from our registry: log in with the instance's role.
set -euo pipefail
image=$(/opt/elasticbeanstalk/bin/get-config environment -k CARASSO_IMAGE)
registry=${image%%/*}
region=$(cut -d. -f4 <<<"$registry")
aws ecr get-login-password --region "$region" | docker login --username AWS --password-stdin "$registry"
