# `make demo` runs the main job end to end; `make check` passes every test. Both install what they need.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := libs/platform_core libs/platform_workers libs/platform_notify services/jobs-api services/notifier
EDITABLE := libs/platform_core libs/platform_workers[testing] libs/platform_notify[testing] services/jobs-api services/notifier
FILE ?=
EMAIL ?=
export DEMO_FILE := $(value FILE)
export DEMO_EMAIL := $(value EMAIL)
SEED ?=
SECONDS ?= 60
JOBS ?= 2000
WORDS ?=
export PYTHONPATH := $(CURDIR)/tools

.PHONY: help demo up bench bench-api bench-events bench-invalid bench-listing bench-store chaos asyncapi check check-root \
	$(PACKAGES:%=check-%) fix clean venv lock
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 16

demo: venv  ## run the main job end to end and show its events and mails (FILE=path EMAIL=address: your file, one mail)
	@$(BIN)/python tools/demo.py

up: venv  ## start every process and stay; one Ctrl-C stops them all
	@$(BIN)/python tools/up.py

chaos: venv  ## kill and pause the real processes at random, then count what was lost (SEED= SECONDS= JOBS=)
	@$(BIN)/python -m chaos --seconds $(SECONDS) --jobs $(JOBS) $(if $(SEED),--seed $(SEED)) $(WORDS)

bench: venv  ## measure how fast mails leave: 10,000 due ones, and one alone (see docs/performance.md)
	@$(BIN)/python tools/bench_mail.py

bench-api: venv  ## measure how many requests the API takes (WORDS=--key: asked with a key; see docs/performance.md)
	@$(BIN)/python tools/bench_api.py $(WORDS)

bench-store: venv  ## compare a store with 1,000,000 finished jobs to one with 1,000 (WORDS="--jobs 100000")
	@$(BIN)/python tools/bench_store.py $(WORDS)

bench-invalid: venv  ## let one notifier hear 1,000,000 invalid messages and watch its memory (WORDS="--messages 100000")
	@$(BIN)/python tools/bench_invalid.py $(WORDS)

bench-listing: venv  ## measure pages of jobs in a store of 1,000 and of 1,000,000 (7 GB, half an hour; see docs/performance.md)
	@$(BIN)/python tools/bench_listing.py

bench-events: venv  ## measure how fast events reach 2,000 clients of one API (see docs/performance.md)
	@$(BIN)/python tools/bench_events.py

asyncapi: venv  ## write docs/asyncapi.json, the document of the event channels, anew
	@$(BIN)/python tools/write_asyncapi.py

check: check-root $(PACKAGES:%=check-%)  ## lint, types, import contract, guard and tests with 100 % branch coverage
	@echo "all checks passed"

$(PACKAGES:%=check-%): check-%: venv
	@$(MAKE) --no-print-directory -C $* check

check-root: venv
	$(BIN)/ruff check --ignore-noqa --no-fix tools examples tests
	$(BIN)/ruff format --check tools examples tests
	$(BIN)/mypy --config-file mypy-tests.ini --cache-dir .mypy_cache/tests tools examples tests
	$(BIN)/pytest tests
	cd examples/my_first_service && ../../$(BIN)/python -m pytest

fix: venv  ## sort imports and format everything
	@for package in $(PACKAGES); do $(MAKE) --no-print-directory -C $$package fix || exit 1; done
	$(BIN)/ruff check --fix --ignore-noqa tools examples tests
	$(BIN)/ruff format tools examples tests

clean:  ## remove what the other targets made, .venv and var: also the jobs, files and mails that `make up` keeps
	rm -rf .venv var
	find . \( -name __pycache__ -o -name .mypy_cache -o -name .ruff_cache -o -name .pytest_cache \
		-o -name .hypothesis -o -name .import_linter_cache -o -name '.coverage*' \) -prune -exec rm -rf {} +

venv: .venv/installed
	@:  # or make says that there is nothing to be done

.venv/installed: requirements.lock $(PACKAGES:%=%/pyproject.toml)
	@echo "installing into .venv (about a minute the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index \
		$(foreach package,$(EDITABLE),-e "./$(package)")
	@touch $@

lock:  ## rewrite requirements.lock from requirements.in (needs the network and `uv` on the PATH)
	uv pip compile requirements.in --universal --python-version 3.11 --generate-hashes --upgrade \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--no-emit-package platform-core --no-emit-package platform-workers --no-emit-package platform-notify \
		--no-emit-package jobs-api --no-emit-package notifier --output-file requirements.lock
