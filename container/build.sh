#!/usr/bin/env bash
# make image: build the image with the builder that ENGINE has: BuildKit with or without buildx, Docker's legacy builder,
# or podman's. Takes ENGINE, IMAGE and BASE_IMAGE from the environment.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v "$ENGINE" >/dev/null ||
  { echo "make image: there is no $ENGINE here; install docker or podman, or name one: make image ENGINE=..." >&2; exit 1; }

# The builder itself is asked what it knows, since a name tells little: `docker` may be podman, with or without buildx.
known=$("$ENGINE" build --help 2>&1)
knows() { grep -q -e "$1" <<<"$known"; }

flags=(--build-arg "BASE_IMAGE=$BASE_IMAGE" --build-arg "GIT_COMMIT=$(git rev-parse HEAD)" --tag "$IMAGE")
# SageMaker takes no manifest of OCI's, which podman and buildx write where they are not kept from it.
if knows --provenance; then flags+=(--provenance=false --output type=docker); fi
if knows --format; then flags+=(--format docker); fi
if [ "$(uname -m)" != x86_64 ]; then flags+=(--platform linux/amd64); fi
# A base image that was made on this machine is in no registry, where podman would look for it.
if [[ $BASE_IMAGE == localhost/* ]]; then flags+=(--pull=never); fi
# pip needs a network; an engine that has none of its own for builds takes this machine's.
"$ENGINE" network inspect bridge >/dev/null 2>&1 || flags+=(--network host)

set -x
"$ENGINE" build "${flags[@]}" .
