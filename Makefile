# Everything that a fresh machine needs: `make demo` brings up the mesh, `make test` tests it. `make help` lists the rest.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup demo test check docs conformance bench bench-compare bench-telemetry curves soak fuzz lint format specs-update lock ci-setup clean

VENV := .venv
BIN := $(VENV)/bin
SET_UP := $(VENV)/.set-up
SAMPLE := samples/bookinfo
BENCHMARKS := discovery engine decode templates agent
MINUTES := 30

# A mesh starts dozens of Pythons: one that may not keep bytecode compiles all that it imports, for twice the CPU and 5 MB more.
unexport PYTHONDONTWRITEBYTECODE

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(SET_UP) ## virtual environment, locked dependencies, Envoy and its API

$(SET_UP): requirements.lock pyproject.toml scripts/set_up.sh src/mizzen/proto/api.py src/mizzen/proto/build.py src/mizzen/proto/descriptors.py src/mizzen/proto/own.py
	@sh scripts/set_up.sh $(VENV)
	@touch $@

demo: $(SET_UP) ## the mesh of samples/bookinfo, live; without a terminal: proves each claim and prints a table
	@if [ -t 1 ]; then exec $(BIN)/mizzen up $(SAMPLE); else exec $(BIN)/mizzen up $(SAMPLE) --check; fi

test: $(SET_UP) ## all tests that can run here; ends with what could not and why
	@$(BIN)/python -m pytest -q -n 2 --dist loadgroup --durations 20 $(TESTS)

check: lint ## what every commit passes: format, lint, types, import contracts, fast tests
	@$(BIN)/python -m pytest -q -m "not lab and not envoy" -n 2 $(TESTS)

lint: $(SET_UP) ## format, lint, types, import contracts
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports > build/imports.txt || { cat build/imports.txt; exit 1; }

format: $(SET_UP) ## rewrite the code in the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

specs-update: $(SET_UP) ## fill the snapshots of tests/specs; read the diff
	@$(BIN)/python -m pytest -q tests/specs --update-specs

docs: $(SET_UP) ## write the pages that come from the code
	@$(BIN)/python scripts/support_page.py
	@$(BIN)/python scripts/analysis_page.py

conformance: $(SET_UP) ## Istio's own cases (../shared/conformance or MIZZEN_CONFORMANCE); SETS="authz routing-e2e/gateway ..." for some
	@$(BIN)/python -m tests.conformance $(SETS)

bench: $(SET_UP) ## figures: ratios first, both sides measured in one run
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done

bench-compare: $(SET_UP) ## the last run of benchmarks/discovery.py against the recorded one, as ratios; fails where a count grew
	@$(BIN)/python benchmarks/compare.py

curves: $(SET_UP) ## how the daemon's costs grow with proxies and services (CURVES=--quick for a minute)
	@$(BIN)/python benchmarks/curves.py $(CURVES)

bench-telemetry: $(SET_UP) ## what metrics cost: requests through two sidecars, with and without, and with no mesh (needs the package wrk)
	@$(BIN)/python benchmarks/telemetry.py

soak: $(SET_UP) ## half an hour of changes (MINUTES=10 for less): nothing grows, and everybody holds what is right
	@$(BIN)/python benchmarks/soak.py --minutes $(MINUTES)

fuzz: $(SET_UP) ## properties with many more examples
	@HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest -q -m "not lab and not envoy" -k "propert or random or any or fuzz" $(TESTS)

lock: ## compile requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra dev pyproject.toml -o requirements.lock

ci-setup: setup ## what CI needs besides `setup`: the packages iptables and prometheus, by apt-get as root
	@sh scripts/ci_setup.sh

clean: ## remove what setup made
	rm -rf $(VENV) build src/mizzen/proto/descriptors.binpb src/mizzen/proto/api.pyi
