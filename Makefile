# `make` lists the targets. Each makes .venv by itself when it needs it.
# PYTHON=<name or path> chooses the interpreter; ARGS="..." is handed on to pytest.

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

python := .venv/bin/python
# Two processes, each with files of its own, as they share what they computed.
pytest := $(python) -m pytest -n 2 --dist loadfile
benchmarks := $(subst _,-,$(filter-out _%,$(notdir $(basename $(wildcard tests/benchmarks/*.py)))))
notebooks := $(sort $(wildcard notebooks/*.ipynb))

.PHONY: help demo test test-slow test-long lint types format bench notebooks docs pages clean FORCE

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: .venv/.installed  ## the main job: the report on Old Faithful, in report/
	@.venv/bin/bayesmix report faithful --out report/

test: .venv/.installed  ## the fast tests
	@$(pytest) $(ARGS)

test-slow: .venv/.installed  ## the tests marked slow (seconds each; CI runs them)
	@$(call pytest-marked,slow and not long)

test-long: .venv/.installed  ## the tests marked long (minutes each; before a release)
	@$(call pytest-marked,long,--timeout=3600)

# No test with the mark (pytest's exit code 5) is no failure, and no closing line "no tests ran".
define pytest-marked
$(python) -m pytest -q --collect-only -m '$(1)' >/dev/null 2>&1; \
if test $$? -eq 5; then echo 'no $(1) tests yet'; \
else $(pytest) -m '$(1)' $(2) $(ARGS); fi
endef

lint: .venv/.installed  ## style: ruff check and ruff format --check
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check

types: .venv/.installed  ## types: mypy
	@$(python) -m mypy

format: .venv/.installed  ## put imports and layout right with ruff
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

bench: $(if $(filter $(NAME),$(benchmarks)),.venv/.installed)  ## one benchmark: make bench NAME=...
	@$(if $(filter $(NAME),$(benchmarks)),$(python) -m tests.benchmarks.$(subst -,_,$(NAME)) $(ARGS),\
	echo "$(if $(NAME),no benchmark named $(NAME); )usage: make bench NAME=<name>, one of: $(or $(benchmarks),(none yet))" >&2; exit 2)

notebooks: .venv/.installed  ## execute notebooks/*.ipynb in place
	@$(if $(notebooks),$(python) .ci/execute_notebooks.py $(notebooks),echo "no notebooks yet")

docs: .venv/.installed  ## the documentation, in build/docs
	@rm -rf build/docs docs/api
	@$(python) -m sphinx -q -W --keep-going -j 2 -c docs -d build/doctrees . build/docs
	@echo "build/docs/index.html"

pages: .venv/.installed  ## open the documentation in Chromium: errors, requests, pages too wide
	@$(python) -m tests.pages $(sort $(filter-out build/docs/docs/api/%,$(shell find build/docs -name '*.html' -not -path '*/_*')))

clean:  ## delete what was made, except .venv
	@rm -rf report build docs/api dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	@find . -name .venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

# The environment. The stamp holds the folder it was made in. It is brought up to date when what is
# to be installed changes, and made anew when its interpreter or pip no longer runs, when the folder
# was moved (scripts in it hold absolute paths), or when PYTHON= asks for another interpreter.
have := $(shell PYTHON=$(python) .ci/find-python 2>/dev/null)
want := $(if $(PYTHON),$(shell PYTHON='$(PYTHON)' .ci/find-python 2>/dev/null || echo unusable),$(have))
made_in := $(or $(shell cat .venv/.installed 2>/dev/null),$(CURDIR))
stale :=
ifneq "$(made_in) $(or $(have),none)" "$(CURDIR) $(want)"
stale := FORCE
endif

.venv/.installed: pyproject.toml constraints.txt $(stale)
	@set -e; \
	if test -n '$(stale)' || ! $(python) -m pip --version >/dev/null 2>&1; then \
		base=$$(PYTHON='$(PYTHON)' .ci/find-python); \
		echo "Making .venv with $$base"; \
		"$$base" -m venv --clear .venv; \
	fi; \
	echo "Installing bayesmix and what it needs into .venv (the first time takes minutes)"; \
	$(python) -m pip install -qq --disable-pip-version-check -e ".[dev,docs,notebooks]" -c constraints.txt; \
	printf '%s\n' '$(CURDIR)' >$@
