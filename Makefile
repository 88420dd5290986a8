# Every way into the project. `make` alone prints this list.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# A variable that no goal takes is refused before anything runs. What a target takes stands in its help line as NAME=;
# programs further down take these.
PASSED_ON := ARGS PYTHON FRAUD_DATA ENGINE IMAGE BASE_IMAGE REPOSITORY AWS_% MLFLOW_% UV_% PIP_% HYPOTHESIS_%
GIVEN := $(filter-out $(PASSED_ON),$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))
ifneq ($(GIVEN),)
quoted = '$(subst ','\'',$(1))'
UNKNOWN := $(shell python3 .make/unknown_variable.py "$(MAKECMDGOALS)" \
  $(foreach name,$(GIVEN),$(call quoted,$(name)=$($(name)))))
$(if $(UNKNOWN),$(error $(UNKNOWN)))
endif

# The active conda environment made from environment.yml, else .venv.
BIN := $(if $(filter fraud-detection,$(CONDA_DEFAULT_ENV)),$(CONDA_PREFIX)/bin,.venv/bin)

export PYTHONUNBUFFERED := 1
unexport ARGS  # for the program of the goal, not for what that starts

.PHONY: help
help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  make report [DATA=path] [SCHEMA=path] [RUN=name] [PROFILE=full|quick] [TARGET=local|aws] [PARAMS="seed=7 review_cost=3"]'

.PHONY: env
env:  ## Build the environment from the lock, or bring it up to date
	@.make/environment.sh

.PHONY: report
report: env  ## Execute the notebooks into runs/RUN/: DATA= SCHEMA= RUN= PROFILE= TARGET= PARAMS=
	@$(BIN)/python -m fraud_utils.report

.PHONY: check
check: env  ## Check a table in seconds; without SCHEMA=, draft one: DATA=path SCHEMA=path
	@$(BIN)/python -m fraud_utils.report.check

.PHONY: monitor
monitor: env  ## Ask whether a run's deployed model still does what was promised: RUN= CAPTURED=path|s3://... LABELS=path PARAMS=
	@$(BIN)/python -m fraud_utils.report.monitor

.PHONY: runs
runs: env  ## Write runs/index.html again: all runs, and a comparison of any two
	@$(BIN)/python -m fraud_utils.report.compare_runs index

.PHONY: compare
compare: env  ## Show how two runs differ: A=run B=run
	@$(BIN)/python -m fraud_utils.report.compare_runs compare "$${A-}" "$${B-}"

.PHONY: open
open: env  ## Open a run's summary in a browser: RUN=name, or the latest
	@$(BIN)/python -m fraud_utils.report.compare_runs open "$${RUN-}"

.PHONY: example
example: env  ## Keep a full run on the real data as runs/example/: that of RUN=, else a new one (DATA= SCHEMA= PARAMS= TARGET= PROFILE= DRAFT=)
	@$(BIN)/python -m fraud_utils.report.example $(if $(DRAFT),--draft)

.PHONY: lab
lab: env  ## Open the notebooks in JupyterLab; outputs go to runs/lab/, and git sees only what you edit
	@JUPYTER_CONFIG_PATH=.make$${JUPYTER_CONFIG_PATH:+:$$JUPYTER_CONFIG_PATH} $(BIN)/python -m jupyterlab $(ARGS)

.PHONY: data
data: env  ## Download the real transactions to data/creditcard.csv (150 MB, no login)
	@$(BIN)/python -m fraud_utils.data

.PHONY: simulate
simulate: env  ## Write simulated transactions to a parquet file: OUT=path ROWS=80000 DAYS=2 SEED=7 FRAUD_RATE=
	@$(BIN)/python -m fraud_utils.data.simulate \
	  "$${OUT:?name the file to write: make simulate OUT=many.parquet ROWS=1000000}" \
	  $(if $(ROWS),--rows $(ROWS)) $(if $(DAYS),--days $(DAYS)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(FRAUD_RATE),--fraud-rate $(FRAUD_RATE)) $(ARGS)

WORKERS = $$(($$(getconf _NPROCESSORS_ONLN) + 1))  # more than cores, since many tests wait for programs; each more collects anew

.PHONY: test
test: env  ## Run the tests on all cores; with the real data where FRAUD_DATA= names it
	@$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 $(ARGS)

.PHONY: test-long
test-long: env  ## Run the long tests, and the properties on hundreds of examples
	@HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 -m 'long or hypothesis' $(ARGS)

.PHONY: bench
bench: env  ## Measure speed and memory; needs the real data and a quiet machine
	@for program in tests/bench/bench_*.py; do echo "== $$program"; $(BIN)/python "$$program"; done

.PHONY: lint
lint: env  ## Check style, types, stripped notebooks, shell and Dockerfile
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/nbstripout --keep-id --verify notebooks/*.ipynb
	@$(BIN)/mypy
	@$(BIN)/shellcheck .ci/run .make/*.sh container/*.sh
	@$(BIN)/hadolint container/Dockerfile

ENGINE ?= $(shell command -v docker >/dev/null && echo docker || echo podman)
BASE_IMAGE ?= python:3.12-slim
IMAGE ?= fraud-detect
REPOSITORY ?= sagemaker-fraud-detect

.PHONY: image
image:  ## Build the image that trains and serves, with whatever builder there is: ENGINE=docker|podman BASE_IMAGE= IMAGE=
	@ENGINE=$(ENGINE) IMAGE=$(IMAGE) BASE_IMAGE=$(BASE_IMAGE) container/build.sh

.PHONY: image-test
image-test: env image  ## Train and serve in the image, without a network, and compare its scores with in-process ones
	@ENGINE=$(ENGINE) IMAGE=$(IMAGE) $(BIN)/python -m pytest -q -s -m image $(ARGS)

.PHONY: test-dir
test-dir: env  ## Lay out test_dir/ as SageMaker does, to run the image by hand: DATA=path, else simulated transactions
	@DATA=$${DATA:-$(wildcard data/creditcard.csv)}; train=test_dir/input/data/train; rm -rf test_dir; \
	mkdir -p test_dir/{input/config,model,output,checkpoints} $$train; \
	if [ -n "$$DATA" ]; then cp "$$DATA" $$train; else $(BIN)/python -m fraud_utils.data.simulate $$train/simulated.parquet; fi; \
	echo '{"num_round": "100", "eta": "0.1", "imbalance": "undersample 1:50"}' > test_dir/input/config/hyperparameters.json; \
	chmod -R a+rwX test_dir  # the image's user is another one

.PHONY: push
push:  ## Push the image to ECR, tagged by commit; prints each command, refuses an image that no commit names
	@ENGINE=$(ENGINE) IMAGE=$(IMAGE) REPOSITORY=$(REPOSITORY) container/push.sh

.PHONY: sagemaker
sagemaker: env  ## Answer SageMaker's API on this machine until Ctrl-C
	@exec $(BIN)/python -m fraud_utils.local_sagemaker $(ARGS)

.PHONY: cleanup
cleanup: env  ## Delete what notebook 03 left on AWS: RUN=name, or OLDER_THAN=2d for all runs
	@$(BIN)/python -m fraud_utils.deploy cleanup $${RUN:+--run "$$RUN"} $${OLDER_THAN:+--older-than "$$OLDER_THAN"} $(ARGS)

.PHONY: lock
lock: env  ## Resolve requirements.lock again from pyproject.toml
	@uv=$$(command -v uv || echo .venv-uv/bin/uv); \
	"$$uv" pip compile --quiet --universal --python-version 3.12 --generate-hashes --group dev \
	  --no-header --no-annotate --upgrade pyproject.toml --output-file requirements.lock; \
	"$$uv" pip compile --quiet --python-version 3.12 --python-platform x86_64-manylinux_2_28 --generate-hashes \
	  --no-header --no-annotate --constraint requirements.lock container/requirements.in --output-file container/requirements.lock

.PHONY: clean
clean:  ## Remove the environment and caches; runs/ and data/ stay
	@rm -rf .venv .venv-* .ruff_cache .mypy_cache .pytest_cache .hypothesis .fit_cache build dist test_dir
	@rm -rf .table_cache/{*,.reading-*}  # the folder may be a link to a larger disk
	@find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
