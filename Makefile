# Everything here sets itself up: a machine with make and Python >= 3.11 (with venv) is enough.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test lint docs matrix states explore autobahn bench fuzz media-report faults mutants clean

help: ## Say what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(READY) ## Stream a real recording to the mock server and show what comes back
	@$(BIN)/python examples/demo.py

test: $(READY) ## Run all tests, with coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses=auto --dist=loadfile -m 'not matrix'
	$(BIN)/pytest -m matrix
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --sort=cover
	@echo 'The session layer alone, which must be covered to the last branch:'
	$(BIN)/coverage report --fail-under=100 --include='src/ihproto/*' --omit='$(NOT_SESSION_LAYER)'

NOT_SESSION_LAYER := src/ihproto/__main__.py,src/ihproto/_adapter/*,src/ihproto/anyio.py,src/ihproto/trio.py,src/ihproto/cli/*,src/ihproto/wire/*

lint: $(READY) ## Check style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

docs: $(READY) ## Write the generated pages of docs/
	$(BIN)/python docs/generate.py

matrix: $(READY) ## Run the conformance suite against every broken server and client, and write docs/matrix.md
	$(BIN)/python -m ihproto_conformance.matrix docs/matrix.md

states: $(READY) ## Visit every joint state of a client, a server and the network between them (a few minutes)
	PYTHONPATH=tests $(BIN)/python -m states

bench: $(READY) ## Measure speed, memory and many sessions, against the published client and websockets
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python bench/run.py $(BENCH)

explore: $(READY) ## Draw new examples for the tests of properties, many more than usual (half an hour)
	$(BIN)/pytest --hypothesis-profile=explore --numprocesses=auto $(EXPLORE)

EXPLORE ?= $(shell grep -rl --include='test_*.py' '^from hypothesis import' tests)

fuzz: $(READY) ## Scan 100,000 broken and hostile files
	$(BIN)/python tests/media_fuzz.py --inputs 100000

faults: $(READY) ## Break connections at every byte and by hostile peers, and print the figures
	$(BIN)/python tests/faults/report.py

media-report: $(READY) ## Compare the scanners with ffmpeg on the full corpus, and write docs/media.md
	$(BIN)/python tests/media_report.py

autobahn: $(READY) ## Attack the wire layer with the Autobahn|Testsuite, and write docs/autobahn.md
	PYTHONPATH=tests $(BIN)/python -m autobahn $(if $(PYTHON27),--python27 '$(PYTHON27)')

mutants: $(READY) ## Change the session layer in small ways, and see whether its tests notice
	PYTHONPATH=tests $(BIN)/python -m mutation.run $(MUTANTS)

clean: ## Remove what was made
	rm -rf $(VENV) .autobahn .mutants dist build .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
