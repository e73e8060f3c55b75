# Everything a developer or a new user runs. `make` alone lists the targets.

# Most tests wait most of the time, so that there may be more of them than cores.
WORKERS ?= 6
FUZZ_SECONDS ?= 120
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Tests start the exporter again and again: in half the time, where it is compiled but once.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test endurance soak fuzz bench lint audit format types docs site generated new-alert previews lock locked clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(VENV)/.runtime ## run the exporter on the embedded simulator; stops on Ctrl-C
	@$(BIN)/trainwave-exporter demo

test: $(VENV)/.dev ## run the whole test suite; fails below 95 % of branches, too
	@mkdir -p .cache
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -n $(WORKERS) --dist worksteal
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report
	@$(BIN)/coverage json --quiet -o .cache/coverage.json
	@$(BIN)/python -c 'import json; t = json.load(open(".cache/coverage.json"))["totals"]; \
		p = 100 * t["covered_branches"] / t["num_branches"]; print(f"branches: {p:.1f} %"); \
		raise SystemExit(p < 95)'

endurance: $(VENV)/.dev ## ten minutes of every fault at once, and of all harm; then each fault at each endpoint
	@ENDURANCE_SECONDS=600 MATRIX_FULL=1 $(BIN)/python -m pytest -n 2 \
		tests/end_to_end/test_endurance.py tests/end_to_end/test_endurance_hostile.py \
		tests/end_to_end/test_fault_matrix.py

soak: $(VENV)/.dev ## three weeks in which 100,000 jobs come and go, in ten minutes
	@SOAK_JOBS=500 SOAK_DAYS=22 $(BIN)/python -m pytest --timeout=3600 -s tests/end_to_end/test_soak.py

fuzz: $(VENV)/.dev ## ten minutes of random bytes: hypothesis, then atheris on the kept corpus
	@FUZZ_EXAMPLES=2000 $(BIN)/python -m pytest -n 2 --timeout=1800 tests/fuzz
	@for target in decoders configuration; do PYTHONPATH=.:tests $(BIN)/python -m support.fuzz_targets \
		$$target tests/fuzz/corpus/$$target -max_total_time=$(FUZZ_SECONDS) -max_len=600 \
		-artifact_prefix=.cache/ || exit 1; done

bench: $(VENV)/.dev ## run the benchmarks, against peers in the same run; takes an hour
	@for name in exposition ledger daemon planner; do \
		PYTHONPATH=tests $(BIN)/python tests/benchmarks/bench_$$name.py || exit 1; done

lint: $(VENV)/.dev ## check style, YAML, Dockerfile and generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/yamllint --strict .
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/python -m grafana.build --check
	@$(BIN)/python -m deploy.prometheus.build --check
	@PYTHONPATH=tests $(BIN)/python -m support.supply_chain licences

audit: $(VENV)/.dev ## look for known vulnerabilities of the locked packages; says so if it cannot
	@PYTHONPATH=tests $(BIN)/python -m support.supply_chain advisories

format: $(VENV)/.dev ## reformat the code and fix what can be fixed automatically
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(VENV)/.dev ## check the types, strictly
	@$(BIN)/mypy

docs: $(VENV)/.dev ## update the generated tables of docs/ and ARCHITECTURE.md
	@PYTHONPATH=tests $(BIN)/python -m support.documentation

site: $(VENV)/.dev ## build docs/ as a site into .cache/site, strictly, without the network
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

generated: $(VENV)/.dev ## build dashboards and rules from their source
	@$(BIN)/python -m grafana.build
	@$(BIN)/python -m deploy.prometheus.build

AREA ?= exporter
new-alert: $(VENV)/.dev ## begin an alert: make new-alert NAME=TrainwaveSomething AREA=jobs|money|exporter
	@PYTHONPATH=tests $(BIN)/python -m support.new_alert '$(NAME)' '$(AREA)'

previews: $(VENV)/.dev ## draw the pictures of the dashboards, with npm and Chromium
	@for program in node npm chromium; do command -v $$program >/dev/null || \
		{ echo "The previews need $$program, which is not on the PATH" >&2; exit 1; }; done
	@$(MAKE) --no-print-directory $(PREVIEWS)/.installed
	@PYTHONPATH=tests $(BIN)/python -m support.previews

lock: $(VENV)/.dev ## resolve the dependencies into the lock files
	@$(call compile,--upgrade,.)

locked: $(VENV)/.dev ## check that the lock files fit pyproject.toml
	@mkdir -p .cache/locked && cp requirements*.lock .cache/locked
	@$(call compile,,.cache/locked)
	@diff requirements.lock .cache/locked/requirements.lock
	@diff requirements-dev.lock .cache/locked/requirements-dev.lock

# $(1): further options; $(2): the folder of the lock files. What is locked there stays, if it can.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url
compile = $(COMPILE) $(1) pyproject.toml -o $(2)/requirements.lock >/dev/null && \
	$(COMPILE) $(1) pyproject.toml --group dev -c $(2)/requirements.lock \
		-o $(2)/requirements-dev.lock >/dev/null

PREVIEWS := .cache/previews

$(PREVIEWS)/.installed: grafana/previews/package.json grafana/previews/package-lock.json
	@echo 'Installing what draws the previews into $(PREVIEWS)'
	@mkdir -p $(PREVIEWS)
	@cp grafana/previews/package.json grafana/previews/package-lock.json $(PREVIEWS)
	@cd $(PREVIEWS) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

clean: ## remove what the other targets created
	rm -rf $(VENV) .cache .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache dist

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed, and is not on the PATH' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo '$(PYTHON) is older than Python 3.11; name another with PYTHON=…' >&2; exit 1; }
	@echo 'Creating $(VENV)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml trainwave_exporter/__init__.py | $(BIN)/python
	@echo 'Installing the exporter into $(VENV)'
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo 'Installing the development tools into $(VENV)'
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
