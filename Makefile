# The book's commands. `make` alone lists them; `make book` and `make test` each start from a bare clone.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

UV_VERSION := 0.13.8
PROFILE ?= smoke
# The first Python on this machine that the package supports.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; done)

venv := .venv
# Relative wherever make takes it for a word: the folder's own name may have spaces.
bin := $(venv)/bin
export PATH := $(CURDIR)/$(bin):$(PATH)
export JUPYTER_PREFER_ENV_PATH := 1
export UV_PYTHON_DOWNLOADS := never
# Without compiled modules every process compiles PyTorch's anew, for five seconds.
unexport PYTHONDONTWRITEBYTECODE
export VIRTUAL_ENV := $(CURDIR)/$(venv)

# Real datasets and weights are looked for beside the clone when no variable names them; nothing needs them.
ifndef CROPNB_DATA
ifneq ($(wildcard ../shared/data/.),)
export CROPNB_DATA := $(CURDIR)/../shared/data
endif
endif
ifndef CROPNB_WEIGHTS
ifneq ($(wildcard ../shared/weights/.),)
export CROPNB_WEIGHTS := $(CURDIR)/../shared/weights
endif
endif

uv := $(venv)/.uv-$(UV_VERSION)
installed := $(venv)/.installed
rendering := $(venv)/.rendering
reproducing := $(venv)/.reproducing

##@ Read
.PHONY: help book html pdf lab
help:  ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: $(installed)  ## Install, execute every chapter (PROFILE=smoke, cpu or full), render the book
	$(bin)/python tools/build_book.py book --profile $(PROFILE)

html: $(rendering)  ## Render the chapters with the outputs that are committed (no torch needed)
	$(bin)/python tools/build_book.py html

pdf: html $(installed)  ## Print the pages as PDF through Chromium (ONLY=papers/vrn for one)
	$(bin)/python tools/pdf.py $(ONLY)

lab: $(installed)  ## Open the chapters in JupyterLab
	$(bin)/python tools/lab.py

##@ Check
.PHONY: test lint
pytest := $(bin)/python -m pytest -n 2 -p tools.skips
test: export CROPNB_OFFLINE := 1
# Two processes of one thread each: with more threads than cores, the chapters wait for each other three times as long.
test: export OMP_NUM_THREADS := 1
test: $(reproducing)  ## Install, test the package, re-run the notebooks, open every page
	@rm -f _build/skips.json
	$(pytest) tests --dist worksteal --cov --cov-report=term:skip-covered --cov-fail-under=90
	$(pytest) book --dist loadfile -p tools.nbval_count --nbval-lax --nbval-cell-timeout 300
	@$(bin)/python tools/skips.py

lint: $(installed)  ## Style of the code and of the notebooks
	$(bin)/ruff check .
	$(bin)/ruff format --check .

##@ Measure
.PHONY: bench reproduce
bench: $(installed)  ## Time a photo with every method on this machine
	$(bin)/python -m cropnb.bench

reproduce: $(reproducing)  ## Run the plan through Snakemake (hours; ONLY=mars/table-3 for a part, DRY=1 to list)
	$(bin)/python -m cropnb.runs.reproduce $(if $(DRY),--dry-run) $(if $(CLUSTER),--profile tools/snakemake/$(CLUSTER)) $(ONLY)

##@ Maintain
.PHONY: refresh lock clean
refresh: $(installed)  ## Execute the chapters in place (ONLY=papers/vrn for one), strip what varies between runs
	$(bin)/python tools/build_book.py refresh $(ONLY)
	$(bin)/python tools/readme_table.py
	$(bin)/python tools/gallery.py

lock: $(uv)  ## Resolve every version anew, and what is generated from them
	$(bin)/uv pip compile pyproject.toml -o requirements.lock $(resolve) --extra book --extra test
	$(bin)/uv pip compile pyproject.toml -o tools/requirements-reproduce.lock $(resolve) --extra reproduce -c requirements.lock
	$(bin)/uv pip compile tools/requirements-html.in -o tools/requirements-html.lock $(resolve) -c requirements.lock
	$(bin)/python tools/make_environment.py
resolve := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-header

clean:  ## Remove what was built (the environment stays)
	rm -rf _build

# The environment, in steps that each leave a stamp: a second run costs nothing.
$(venv)/bin/python:
	@test -n "$(PYTHON)" || { echo "cropnb needs Python 3.11, 3.12 or 3.13: install one, or name it with PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(venv)

$(uv): | $(venv)/bin/python
	$(bin)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

$(reproducing): tools/requirements-reproduce.lock $(installed)
	$(bin)/uv pip install --quiet --require-hashes -r tools/requirements-reproduce.lock
	@touch $@

$(installed): requirements.lock pyproject.toml $(uv)
	$(bin)/uv pip install --quiet --require-hashes -r requirements.lock
	$(bin)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# Rendering alone needs a small part of the lock. Where the whole is installed, it is enough.
ifeq ($(wildcard $(installed)),)
$(rendering): tools/requirements-html.lock $(uv)
	$(bin)/uv pip install --quiet --require-hashes -r tools/requirements-html.lock
	@touch $@
else
$(rendering): $(installed)
	@touch $@
endif
