#!/usr/bin/env bash
# make push: build the image and push it to ECR, tagged by commit. Takes ENGINE, IMAGE, REPOSITORY and AWS_REGION from
# the environment, and prints each command.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "make push: $*" >&2
  exit 1
}

# The tag names a commit, so what the image is made of must be in it; notebooks and tests are not.
changes=$(git status --porcelain -- Dockerfile .dockerignore pyproject.toml README.md container fraud_utils)
[ -z "$changes" ] || fail "the image would contain changes that no commit names; commit them first:"$'\n'"$changes"
command -v aws >/dev/null || fail 'needs the AWS command line: https://aws.amazon.com/cli'
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
[ -n "$region" ] || fail 'no AWS region is configured; name it: make push AWS_REGION=eu-west-1'
export AWS_DEFAULT_REGION=$region

"${MAKE:-make}" image
set -x
account=$(aws sts get-caller-identity --query Account --output text)
registry=$account.dkr.ecr.$region.amazonaws.com
name=$registry/$REPOSITORY:$(git rev-parse --short=12 HEAD)
aws ecr get-login-password --region "$region" | "$ENGINE" login --username AWS --password-stdin "$registry"
aws ecr describe-repositories --region "$region" --repository-names "$REPOSITORY" >/dev/null ||
  aws ecr create-repository --region "$region" --repository-name "$REPOSITORY" >/dev/null
"$ENGINE" tag "$IMAGE" "$name"
"$ENGINE" push "$name"
