# Everything a newcomer needs; `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --disable-pip-version-check -q -c constraints.txt
SOURCES := grandmodel.py engine agents feeds training portfolio benchmarks tests

.DEFAULT_GOAL := help
.PHONY: help run paper learn test fuzz check bench learning verify-learning soak format pictures clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

$(VENV)/base: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, found " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

# torch comes first and pinned, so that no other package picks a build for it.
$(VENV)/dev: $(VENV)/base
	$(PIP) "$$(grep '^torch==' constraints.txt)"
	$(PIP) -e '.[train,live,dev]'
	touch $@

run: $(VENV)/base ## Backtest the bundled recording, write the report, compare with tuned rules
	$(BIN)/grandmodel backtest --config configs/demo.yaml --out runs/demo --overwrite
	$(BIN)/grandmodel compare --config configs/demo.yaml --agent ensemble --agent buy_and_hold \
		--agent 'sma_cross:fast=15|30|60,slow=240|480' --split 2024-01-19 --top 8 --reports 0 --out runs/demo-compare

# Clients of brokers, and a small broker to try them with.
$(VENV)/live: $(VENV)/base
	$(PIP) -e '.[live,broker]'
	touch $@

paper: $(VENV)/live ## Trade on paper: a development broker, the recording at 600 times, the dashboard
	$(BIN)/grandmodel paper --demo --dashboard

learn: $(VENV)/dev ## See a session learn: a market turns, a candidate takes over (five minutes)
	$(BIN)/grandmodel paper --demo --learn configs/live/learning.yaml --dashboard

# Each process takes the next tests as soon as it is free: the slowest file alone takes a fifth of the time.
test: $(VENV)/dev ## Install everything and run the tests, on every core
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

fuzz: $(VENV)/dev ## Run the property tests on new random examples
	HYPOTHESIS_PROFILE=random $(BIN)/python -m pytest -m hypothesis --numprocesses auto --dist worksteal

check: $(VENV)/dev ## Lint, types, layers
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev ## Format the sources
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

learning: $(VENV)/dev ## Train where it is known what there is to learn (an hour)
	$(BIN)/python -m benchmarks.learning
	$(BIN)/python -m benchmarks.learners --references

verify-learning: $(VENV)/dev ## See that training finds what is there to find, and leaves the rest alone (three minutes)
	$(BIN)/grandmodel verify learning

soak: $(VENV)/dev ## Trade live while broker and session are killed again and again: Kafka 20 minutes, MQTT 1
	$(BIN)/python -m benchmarks.live.soak
	@if PATH="$$PATH:/usr/sbin" command -v mosquitto > /dev/null; \
	then $(BIN)/python -m benchmarks.live.mqtt_soak --minutes 0.9 --bars 450; \
	else echo "MQTT is left out, because mosquitto is not installed: apt-get install mosquitto"; fi

bench: $(VENV)/dev ## Measure speed, beside other systems (installs them)
	$(PIP) -e '.[bench]'
	test -x .venvs/nautilus/bin/python || $(PYTHON) -m venv .venvs/nautilus
	.venvs/nautilus/bin/pip install --disable-pip-version-check -q 'nautilus_trader==1.221.0'
	$(BIN)/python -m benchmarks.replay --rounds 7
	$(BIN)/python -m benchmarks.ensemble
	$(BIN)/python -m benchmarks.live
	$(BIN)/python -m benchmarks.command
	$(BIN)/python -m benchmarks.monitor
	$(BIN)/python -m benchmarks.books
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.training --end-to-end --compiled
	$(BIN)/python -m benchmarks.learners --speed --compiled

pictures: $(VENV)/base ## Draw the pictures of the README again (needs Chromium)
	$(BIN)/python -m benchmarks.pictures

clean: ## Remove environments, caches and runs
	rm -rf $(VENV) .venvs runs build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
