# `make help` lists the tasks. Everything is installed below .venvs/; nothing outside this folder is touched.
SHELL := /bin/bash
PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .venvs/uv/bin/uv
DEV := .venvs/dev/bin
TOOLS := $(patsubst containers/%/pyproject.toml,%,$(filter-out containers/contract/%,$(wildcard containers/*/pyproject.toml)))
# The tools whose modules the unit tests import; the others are tested in their own environments only.
IMPORTED := degrade medsam stunet trainer

# A folder of local wheels that pip knows is used by uv too.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS := $(PIP_FIND_LINKS)
endif
export UV_HTTP_TIMEOUT ?= 300

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long check images lock bench .env compose

help:  ## list the tasks
	@grep -hE '^[.a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([.a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup: .venvs/dev/.ready  ## install everything: development tools, the coordinator, each tool in its own environment
	@$(DEV)/coordinator tool build --runtime process

.venvs/dev/.ready: requirements-dev.lock containers/contract/pyproject.toml coordinator/pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python 3.11 .venvs/dev
	$(UV) pip install --quiet --python $(DEV)/python -r requirements-dev.lock
	$(UV) pip install --quiet --python $(DEV)/python --no-deps --config-setting editable_mode=compat \
		-e containers/contract -e coordinator
	@touch $@

$(UV):
	$(PYTHON) -m venv .venvs/uv
	.venvs/uv/bin/pip install --quiet uv==$(UV_VERSION)

demo: setup  ## a whole study on a phantom: label versions, scores, networks, report (under 15 minutes on 2 idle cores)
	$(DEV)/coordinator dataset phantom data/phantom --cases 10
	$(DEV)/coordinator run studies/demo.yaml

test: setup  ## all tests but the long ones; container tests where a Docker engine answers
	@if docker info >/dev/null 2>&1; then $(MAKE) --no-print-directory images; \
	else echo "no Docker engine answers: container tests are skipped (with CI=true they fail)"; fi
	$(DEV)/python -m pytest -m "not long"

test-long: setup  ## the tests that take hours: each tool checked in each runtime, whole studies, one killed ten times
	$(DEV)/python -m pytest -m long

check: export PYTHONPATH := $(subst $() $(),:,$(wildcard containers/*/))
check: setup  ## ruff, strict mypy, and what may import what
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .
	$(DEV)/mypy containers/contract coordinator containers/trainer
	$(DEV)/lint-imports --no-logo --no-cache

images: setup  ## build the image of every tool (BASE=python:3.11-slim-bookworm to use another base than the pinned one)
	$(DEV)/coordinator tool build --runtime docker $(if $(BASE),--base $(BASE))

compose: setup  ## write compose.yaml and compose.gpu.yaml from the manifests
	$(DEV)/coordinator tool compose

.env:  ## note your user id for `docker compose`, so that outputs are yours; make the folders that are mounted
	@mkdir -p data out weights inputs
	@{ echo "HOST_UID=$$(id -u)"; echo "HOST_GID=$$(id -g)"; \
	   if nvidia-smi -L >/dev/null 2>&1; then echo "COMPOSE_FILE=compose.yaml:compose.gpu.yaml"; \
	   else echo "COMPOSE_FILE=compose.yaml"; fi; } > .env
	@cat .env

lock: | $(UV)  ## pin every package of every environment again
	$(UV) pip compile --quiet --python-version 3.11 --no-annotate --no-header --no-emit-index-url --no-emit-find-links --group dev \
		coordinator/pyproject.toml containers/contract/pyproject.toml $(IMPORTED:%=containers/%/pyproject.toml) \
		-o requirements-dev.lock
	$(UV) pip compile --quiet --python-version 3.11 --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
		coordinator/pyproject.toml containers/contract/pyproject.toml \
		-o coordinator/requirements.lock
	for tool in $(TOOLS:%=containers/%); do \
		$(UV) pip compile --quiet --python-version 3.11 --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
			$$tool/pyproject.toml containers/contract/pyproject.toml \
			-o $$tool/requirements.lock || exit 1; done
	# A local build of torch must not become everybody's pin; and its CUDA build names its own libraries, exactly.
	sed -i -e 's/^torch==\([0-9.]*\)+.*/torch==\1/' -e '/^\(nvidia-\|cuda-\|triton\)/d' \
		requirements-dev.lock $(TOOLS:%=containers/%/requirements.lock)

bench: export OMP_NUM_THREADS := 1
bench: setup .venvs/bench/.ready  ## measure what is said to be fast, beside others doing the same; and how often the statistics err
	$(DEV)/python tests/benchmarks/engine.py
	$(DEV)/python tests/benchmarks/remap.py
	$(DEV)/python tests/benchmarks/calibration.py
	$(DEV)/python tests/benchmarks/scoring.py
	.venvs/bench/bin/python tests/benchmarks/trainer.py
	$(DEV)/python tests/benchmarks/networks.py
	.venvs/stunet/bin/python tests/benchmarks/stunet_memory.py

# nnU-Net and the trainer in one environment, to be measured in one process.
BENCH_LOCKS := containers/nnunet/requirements.lock containers/trainer/requirements.lock
.venvs/bench/.ready: $(BENCH_LOCKS) containers/nnunet/requirements-nodeps.lock | $(UV)
	$(UV) venv --quiet --allow-existing --python 3.11 .venvs/bench
	$(UV) pip install --quiet --python .venvs/bench/bin/python $(BENCH_LOCKS:%=-r %)
	$(UV) pip install --quiet --python .venvs/bench/bin/python --no-deps -r containers/nnunet/requirements-nodeps.lock
	@touch $@
