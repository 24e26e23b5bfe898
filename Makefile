# `make` alone tells what there is.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run install test lint bench lock

VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
UV := $(firstword $(wildcard $(BIN)/uv) uv)
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade
PIP := PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check

run: $(VENV)/.installed  ## start the portal: database, web server and worker (Ctrl-C stops all)
	@exec $(BIN)/python -m portal.serve

install: $(VENV)/.installed  ## install what the portal runs on, and start nothing: for servers

test: $(VENV)/.installed-dev  ## run the tests, with those that need Chromium or PgBouncer where these are found (JOBS=2 at a time)
	@exec $(BIN)/python -m pytest -n $(JOBS)

lint: $(VENV)/.installed-dev  ## look at style, types and templates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/djlint --quiet --lint templates bench/templates
	$(BIN)/python tests/vendor/htmx.org-4.0.1/upgrade-check.py --no-color templates static/portal.js

bench: $(VENV)/.installed  ## measure a part beside the smallest honest Flask page, into docs/performance.md (PART=foundation, PART=users, PART=users-in-bulk or PART=agents; without it: the parts)
	@exec $(BIN)/python -m bench $(PART)

lock: $(VENV)/.installed  ## pin the newest allowed packages, with hashes, into requirements*.txt
	@command -v $(UV) >/dev/null || { echo "make lock needs uv; install it from https://docs.astral.sh/uv/, then try again." >&2; exit 1; }
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) requirements-dev.in -o requirements-dev.txt

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z]+:.*  ## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.installed: requirements.txt | $(BIN)/python
	@echo "Installing what the portal runs on; this happens once and takes a minute." >&2
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing what the tests need." >&2
	@$(PIP) -r requirements-dev.txt
	@touch $@

# The newest Python from 3.11 on that can make a virtual environment; PYTHON=… names one.
$(BIN)/python:
	@found=; for python in $(PYTHON) python3.14 python3.13 python3.12 python3.11 python3; do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    found=$$python; \
	    "$$python" -c 'import ensurepip, venv' 2>/dev/null || continue; \
	    echo "Making $(VENV) with $$($$python -V)." >&2; \
	    exec "$$python" -m venv --clear $(VENV); \
	done; \
	if [ -n "$$found" ]; then \
	    echo "$$found cannot make virtual environments; install its venv module (on Debian: apt install python3-venv), then try again." >&2; \
	else \
	    echo "The portal needs Python 3.11 or newer; install it, or name it: make run PYTHON=/path/to/python3" >&2; \
	fi; exit 1
