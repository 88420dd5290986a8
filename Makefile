# Every way into the project. `make` alone prints this list.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The active conda environment made from environment.yml, else .venv.
ifeq ($(CONDA_DEFAULT_ENV),fraud-detection)
BIN := $(CONDA_PREFIX)/bin
ENV_RECIPE := env-conda
else
BIN := .venv/bin
ENV_RECIPE := env-venv
endif

export PYTHONUNBUFFERED := 1

.PHONY: help
help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | \
	  while IFS='|' read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done
	@echo
	@echo '  make report [DATA=path] [SCHEMA=path] [RUN=name] [PROFILE=full|quick] [TARGET=local|aws] [PARAMS="seed=7 review_cost=3"]'

.PHONY: env env-venv env-conda
env: $(ENV_RECIPE)  ## Build or mend the environment from the lock; a no-op when nothing changed

# The environment is built beside the old one and renamed into place when it is whole, so an interrupt leaves
# the old one as it was. The copy of the lock inside says what it was built from.
env-venv:
	@cat requirements.lock .python-version | cmp -s - .venv/built-from && exit 0; \
	python=; for candidate in $(or $(PYTHON),python3.12 python3.13 python3 python); do \
	  python=$$("$$candidate" -c 'import sys; print(sys.executable if (3, 12) <= sys.version_info < (3, 14) else "")' 2>/dev/null) || python=; \
	  [ -z "$$python" ] || break; done; \
	[ -n "$$python" ] || { echo 'make env: needs Python 3.12 or 3.13; install it (for example "apt install python3.12 python3.12-venv", "brew install python@3.12" or "conda install python=3.12") or name it: make env PYTHON=/path/to/python3.12' >&2; exit 1; }; \
	new=.venv-new-$$$$; trap 'rm -rf "$$new" "$$new"-*' EXIT; trap 'exit 130' INT TERM; \
	uv=$$(command -v uv || echo .venv-uv/bin/uv); \
	[ -x "$$uv" ] || { echo 'make env: fetching uv with pip'; \
	  "$$python" -m venv "$$new-uv" || { echo "make env: $$python cannot make virtual environments; install its venv package (Debian: apt install python3-venv)" >&2; exit 1; }; \
	  "$$new-uv"/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'; \
	  rm -rf .venv-uv; mv "$$new-uv" .venv-uv; }; \
	index=$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$("$$python" -m pip config get global.index-url 2>/dev/null || true)}}; \
	[ -z "$$index" ] || export UV_DEFAULT_INDEX="$$index"; \
	echo "make env: building .venv with $$("$$python" -V) (1.4 GB; a minute or two)"; \
	"$$uv" venv --quiet --relocatable --python "$$python" --prompt fraud-detection "$$new"; \
	if [ -t 2 ]; then quiet=; else quiet=--quiet; fi; \
	"$$uv" pip install $$quiet --python "$$new" --require-hashes --compile-bytecode -r requirements.lock; \
	"$$uv" pip install --quiet --python "$$new" --no-deps --no-build-isolation -e .; \
	cat requirements.lock .python-version > "$$new/built-from"; \
	trap '' INT TERM; if [ -e .venv ]; then mv .venv "$$new-old"; fi; \
	mv "$$new" .venv; echo "make env: .venv is ready"

env-conda:
	@cmp -s requirements.lock "$(CONDA_PREFIX)/built-from" && exit 0; \
	rm -f "$(CONDA_PREFIX)/built-from"; \
	"$(BIN)/python" -m pip install --require-hashes -r requirements.lock; \
	"$(BIN)/python" -m pip install --quiet --no-deps --no-build-isolation -e .; \
	cp requirements.lock "$(CONDA_PREFIX)/built-from"

.PHONY: report
report: env  ## Execute the three notebooks into runs/RUN/ (simulated data when there is none)
	@$(BIN)/python -m fraud_utils.report

.PHONY: runs
runs: env  ## Write runs/index.html again: all runs, and a comparison of any two
	@$(BIN)/python -m fraud_utils.report.compare_runs index

.PHONY: compare
compare: env  ## Print in what two runs differ: make compare A=run B=run
	@$(BIN)/python -m fraud_utils.report.compare_runs compare "$${A-}" "$${B-}"

.PHONY: open
open: env  ## Open a run's summary in a browser, RUN=name or the latest
	@$(BIN)/python -m fraud_utils.report.compare_runs open "$${RUN-}"

.PHONY: example
example: env  ## Distil a full run on the real data into runs/example/; a new one, or the finished one that RUN names
	@$(BIN)/python -m fraud_utils.report.example $(if $(DRAFT),--draft)

.PHONY: test
test: env  ## Run every test; the real data's when FRAUD_DATA names it
	@$(BIN)/python -m pytest $(ARGS)

.PHONY: bench
bench: env  ## Measure speed and memory; needs the real data and a quiet machine
	@for program in tests/bench/bench_*.py; do echo "== $$program"; $(BIN)/python "$$program"; done

.PHONY: lab
lab: env  ## Open the notebooks in JupyterLab
	@$(BIN)/python -m jupyterlab --notebook-dir=. $(ARGS)

.PHONY: data
data: env  ## Download the real transactions to data/creditcard.csv (150 MB, no login)
	@$(BIN)/python -m fraud_utils.data

.PHONY: lint
lint: env  ## Check style, types, stripped notebooks, shell and Dockerfile
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/nbstripout --keep-id --verify notebooks/*.ipynb
	@$(BIN)/mypy
	@$(BIN)/shellcheck .ci/run container/on-start.sh
	@$(BIN)/hadolint container/Dockerfile

# The image. SageMaker takes no manifest of OCI's, which docker needs two flags to avoid; podman needs one.
ENGINE ?= $(shell command -v docker >/dev/null && echo docker || echo podman)
BASE_IMAGE ?= python:3.12-slim
IMAGE ?= fraud-detect
REPOSITORY ?= sagemaker-fraud-detect
ifeq ($(notdir $(ENGINE)),podman)
BUILD_FLAGS := --format docker --network host $(if $(filter localhost/%,$(BASE_IMAGE)),--pull=never)
else
BUILD_FLAGS := --platform linux/amd64 --provenance=false --output type=docker
endif

.PHONY: image
image:  ## Build the image that trains and serves (ENGINE=docker|podman BASE_IMAGE=...)
	@$(ENGINE) build $(BUILD_FLAGS) --build-arg BASE_IMAGE=$(BASE_IMAGE) --build-arg GIT_COMMIT=$$(git rev-parse HEAD) \
	  -t $(IMAGE) .

.PHONY: image-test
image-test: env image  ## Train and serve in the image, without a network, and compare its scores with in-process ones
	@ENGINE=$(ENGINE) IMAGE=$(IMAGE) $(BIN)/python -m pytest -q -s tests/container/test_image.py $(ARGS)

.PHONY: push
push:  ## Push the image to ECR, tagged by commit; prints each command, refuses a tree with changes
	@[ -z "$$(git status --porcelain)" ] || { echo 'make push: the tree has changes that no commit names; commit them first' >&2; exit 1; }
	@command -v aws >/dev/null || { echo 'make push: needs the AWS command line: https://aws.amazon.com/cli' >&2; exit 1; }
	@region=$${AWS_REGION:-$${AWS_DEFAULT_REGION:-$$(aws configure get region || true)}}; \
	[ -n "$$region" ] || { echo 'make push: no AWS region is configured; name it: make push AWS_REGION=eu-west-1' >&2; exit 1; }; \
	export AWS_DEFAULT_REGION="$$region"; $(MAKE) image; \
	set -x; account=$$(aws sts get-caller-identity --query Account --output text); registry=$$account.dkr.ecr.$$region.amazonaws.com; \
	aws ecr get-login-password --region "$$region" | $(ENGINE) login --username AWS --password-stdin "$$registry"; \
	aws ecr describe-repositories --region "$$region" --repository-names $(REPOSITORY) >/dev/null || \
	  aws ecr create-repository --region "$$region" --repository-name $(REPOSITORY) >/dev/null; \
	$(ENGINE) tag $(IMAGE) "$$registry/$(REPOSITORY):$$(git rev-parse --short=12 HEAD)"; \
	$(ENGINE) push "$$registry/$(REPOSITORY):$$(git rev-parse --short=12 HEAD)"

.PHONY: lock
lock: env  ## Resolve requirements.lock again from pyproject.toml
	@uv=$$(command -v uv || echo .venv-uv/bin/uv); \
	"$$uv" pip compile --quiet --universal --python-version 3.12 --generate-hashes --group dev \
	  --no-header --no-annotate --upgrade pyproject.toml --output-file requirements.lock; \
	"$$uv" pip compile --quiet --python-version 3.12 --python-platform x86_64-manylinux_2_28 --generate-hashes \
	  --no-header --no-annotate --constraint requirements.lock container/requirements.in --output-file container/requirements.lock

.PHONY: clean
clean:  ## Remove the environment and caches; runs/ and data/ stay
	@rm -rf .venv .venv-* .ruff_cache .mypy_cache .pytest_cache .hypothesis build dist test_dir
	@find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
