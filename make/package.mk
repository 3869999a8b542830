# The one recipe of every package: `make check` checks this package alone, `make fix` formats it.
ROOT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/..)
BIN := $(ROOT)/.venv/bin
PATHS := src tests
export PYTHONPATH := $(ROOT)/tools:$(CURDIR)/tests

.PHONY: check lint types contract guard test fix venv help
.DEFAULT_GOAL := help

help:  ## list the targets
	@echo "make check | lint | types | contract | guard | test | fix   ($(PACKAGE))"

venv:
	@$(MAKE) --no-print-directory -C $(ROOT) venv

check: lint guard contract types test  ## everything, for this package alone

lint: venv
	$(BIN)/ruff check --ignore-noqa --no-fix --config $(ROOT)/pyproject.toml $(PATHS)
	$(BIN)/ruff format --check --config $(ROOT)/pyproject.toml $(PATHS)

guard: venv
	$(BIN)/python $(ROOT)/tools/guard.py $(PATHS)

contract: venv
	$(BIN)/lint-imports --config $(ROOT)/pyproject.toml --cache-dir $(ROOT)/.import_linter_cache

# Tests are held to the same rules but one: pytest's and hypothesis' decorators have untyped parts.
types: venv
	$(BIN)/mypy --config-file $(ROOT)/mypy.ini src
	$(BIN)/mypy --config-file $(ROOT)/mypy-tests.ini --cache-dir .mypy_cache/tests tests

test: venv
	$(BIN)/pytest -c $(ROOT)/pyproject.toml --rootdir . tests \
		--cov=$(PACKAGE) --cov-config=$(ROOT)/pyproject.toml --cov-report=term-missing:skip-covered $(ARGS)

fix: venv
	$(BIN)/ruff check --fix --ignore-noqa --config $(ROOT)/pyproject.toml $(PATHS)
	$(BIN)/ruff format --config $(ROOT)/pyproject.toml $(PATHS)
