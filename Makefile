# `make lab` opens the lessons, `make test` checks everything that needs no other tool. `make help` lists the rest.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The first of these that is there; another one by `make PYTHON=/path/to/python lab`.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
JOBS ?= 2

.PHONY: lab test unit test-interop test-browser notebooks lint format exercises picture screenshots bench bench-set-up set-up set-up-dtls clean help

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-13s %s\n", $$1, $$2}'

lab: $(READY)  ## open JupyterLab on the lessons
	$(BIN)/lwm2m-lab notebooks --folder notebooks

test: unit notebooks  ## unit tests, then every notebook compared with its stored outputs

unit: $(READY)  ## the unit tests alone
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -q --ignore=tests/interop --ignore=tests/browser

test-interop: $(READY)  ## what takes real time: real peers and sniffers, where they are installed; the conformance bench on real sockets
	$(BIN)/python -m pytest -q tests/interop

test-browser: $(READY)  ## every lesson and the page without code in a real browser, where Chromium is installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/pins.txt --editable '.[test,browser]'
	$(BIN)/python -m pytest -q tests/browser

notebooks: $(READY)  ## the notebooks alone, strictly; how slow the machine is must not show as a progress bar
	TQDM_DISABLE=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile -q -W "ignore::DeprecationWarning" \
		-p no:cacheprovider --nbval --nbval-current-env notebooks

lint: $(READY)  ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

exercises: $(READY)  ## make the lessons from their solutions, and run both
	$(BIN)/python .ci/make_lessons.py

SIZE ?= 1000000
ROUNDS ?= 5
UPDATES ?= 10000
bench: $(READY)  ## the lab against other tools and itself, as a table; smaller by SIZE=100000, one part by SECTIONS=small
	$(BIN)/python -m tests.bench.run --size $(SIZE) --rounds $(ROUNDS) --updates $(UPDATES) $(SECTIONS)

bench-set-up: build/bench/peers/.ready  ## the other readers of the section `peers`, in an environment of their own

build/bench/peers/.ready: tests/bench/peers.txt
	$(PYTHON) -m venv build/bench/peers
	build/bench/peers/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/bench/peers.txt
	@touch $@

picture: $(READY)  ## the picture of the README, by its own five lines
	$(BIN)/lwm2m-lab push --image-version 2.1.0 --size 20000 --loss 0.05 --seed 4 --plot docs/one-update.png

screenshots: $(READY)  ## each lesson's main picture as a browser shows it, light and dark, for the README
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/pins.txt --editable '.[test,browser]'
	$(BIN)/python .ci/make_screenshots.py

set-up: $(READY)  ## the environment alone

$(READY): pyproject.toml .ci/pins.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 with venv was found; install one (Debian: apt install python3-venv), or name it: make PYTHON=/path/to/python lab" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/pins.txt --editable '.[test]'
	@touch $(READY)

set-up-dtls: $(READY)  ## live coaps too: tinydtls, which needs a C compiler, autoconf and libtool
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/pins.txt --editable '.[dtls]'

clean:  ## remove the environment and what was built
	rm -rf $(VENV) build dist
