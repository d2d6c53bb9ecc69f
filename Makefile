# `make help` lists the tasks. Everything is installed below .venvs/; nothing outside this folder is touched.
SHELL := /bin/bash
PYTHON ?= python3
UV := .venvs/uv/bin/uv
DEV := .venvs/dev/bin
# The tools whose modules the unit tests import; the others are tested in their own environments only.
IMPORTED := consensus degrade medsam stunet trainer

# Tests at once; those of a file share what they set up, and the long files come first.
WORKERS ?= 2
PYTEST := $(DEV)/python -m pytest
PARALLEL = --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# A folder of local wheels that pip knows is used by uv too.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS := $(PIP_FIND_LINKS)
endif
export UV_HTTP_TIMEOUT ?= 300

.DEFAULT_GOAL := help
.PHONY: help setup demo test cluster test-long fuzz chaos check images lock sbom audit bench .env compose

help:  ## list the tasks
	@grep -hE '^[.a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([.a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup: .venvs/dev/.ready  ## install everything: development tools, the coordinator, each tool in its own environment
	@$(DEV)/coordinator tool build --runtime process

# Install what locks name, and torch in one of its two builds, as the Dockerfile does (docs/decisions/0004-two-builds-of-torch.md).
# $(1): folder of the environment; $(2): locks.
TORCH_LOCKS := containers/trainer/requirements-cpu.lock containers/trainer/requirements-cuda.lock
define install
	$(UV) venv --quiet --allow-existing --python 3.11 $(1)
	torch=cuda; cpu=$$(grep -o '^torch==[^ ]*' containers/trainer/requirements-cpu.lock); \
	if $(UV) pip install -qq --python $(1)/bin/python --dry-run --no-index --no-deps "$$cpu" 2>/dev/null; then torch=cpu; fi; \
	$(UV) pip install --quiet --python $(1)/bin/python --require-hashes $(2:%=-r %) -r containers/trainer/requirements-$$torch.lock
endef

BUILD_LOCK := containers/contract/requirements-build.lock
.venvs/dev/.ready: requirements-dev.lock $(TORCH_LOCKS) $(BUILD_LOCK) containers/contract/pyproject.toml coordinator/pyproject.toml | $(UV)
	$(call install,.venvs/dev,requirements-dev.lock)
	$(UV) pip install --quiet --python $(DEV)/python --target .venvs/setuptools --require-hashes -r $(BUILD_LOCK)
	PYTHONPATH=$(CURDIR)/.venvs/setuptools $(UV) pip install --quiet --python $(DEV)/python --no-index --no-build-isolation \
		--no-deps --config-setting editable_mode=compat -e containers/contract -e coordinator
	@touch $@

$(UV): requirements-uv.lock
	$(PYTHON) -m venv .venvs/uv
	.venvs/uv/bin/pip install --quiet --require-hashes --requirement $<
	@touch $@

demo: setup  ## a whole study on a phantom: label versions, scores, networks, report (under 15 minutes on 2 idle cores)
	$(DEV)/coordinator dataset phantom data/phantom --cases 10
	$(DEV)/coordinator run studies/demo.yaml

test: setup  ## all tests but the long ones and those of clusters; container tests where a Docker engine answers
	@if docker info >/dev/null 2>&1; then $(MAKE) --no-print-directory images; \
	else echo "no Docker engine answers: container tests are skipped (with CI=true they fail)"; fi
	$(PYTEST) $(PARALLEL) -m "not long and not slurm and not kubernetes and not podman"

cluster: setup images  ## studies as jobs of the Slurm cluster that this machine belongs to, of a pretended Kubernetes; tools in Podman
	$(PYTEST) -n0 -m "(slurm or kubernetes or podman) and not long"

test-long: setup images  ## the tests that take hours: each tool checked in each runtime, whole studies, one killed ten times
	$(PYTEST) $(PARALLEL) -m long

fuzz: COUNT = 50000
fuzz: setup  ## try COUNT mutated inputs of each kind (50000), and print what came of them
	FUZZ_COUNT=$(COUNT) $(PYTEST) -q tests/fuzz

chaos: COUNT = 200
chaos: setup  ## strike a study COUNT times (200) by faults at random moments, and print what came of them
	CHAOS_COUNT=$(COUNT) $(PYTEST) --numprocesses $(WORKERS) --dist load -q -m long tests/chaos

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

lock: | $(UV)  ## pin every package of every environment again, with hashes; pins that still fit stay
	UV=$(UV) IMPORTED="$(IMPORTED)" ./lock.sh

sbom: setup .venvs/audit/.ready  ## write a bill of materials of each image (sbom/), and the table of licences
	.venvs/audit/bin/python dependencies/sbom.py

audit: .venvs/audit/.ready  ## look up known vulnerabilities of all packages; says `no network` where there is none
	.venvs/audit/bin/python dependencies/audit.py

.venvs/audit/.ready: requirements-audit.lock | $(UV)
	$(UV) venv --quiet --allow-existing --python 3.11 .venvs/audit
	$(UV) pip install --quiet --python .venvs/audit/bin/python --require-hashes -r $<
	@touch $@

bench: export OMP_NUM_THREADS := 1
bench: setup .venvs/bench/.ready  ## measure speed and memory beside other programs, and how often the statistics err
	$(DEV)/python tests/benchmarks/engine.py
	$(DEV)/python tests/benchmarks/scale.py 431 20000
	$(DEV)/python tests/benchmarks/remap.py
	$(DEV)/python tests/benchmarks/twins.py
	$(DEV)/python tests/benchmarks/importing.py
	$(DEV)/python tests/benchmarks/calibration.py
	$(DEV)/python tests/benchmarks/calibration.py --key 1187
	$(DEV)/python tests/benchmarks/scoring.py
	.venvs/bench/bin/python tests/benchmarks/trainer.py
	$(DEV)/python tests/benchmarks/networks.py
	.venvs/stunet/bin/python tests/benchmarks/stunet_memory.py

# nnU-Net and the trainer in one environment, to be measured in one process.
BENCH_LOCKS := containers/nnunet/requirements.lock containers/trainer/requirements.lock
.venvs/bench/.ready: $(BENCH_LOCKS) $(TORCH_LOCKS) containers/nnunet/requirements-nodeps.lock | $(UV)
	$(call install,.venvs/bench,$(BENCH_LOCKS))
	$(UV) pip install --quiet --python .venvs/bench/bin/python --no-deps --require-hashes -r containers/nnunet/requirements-nodeps.lock
	@touch $@
