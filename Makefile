# Two commands do everything: `make demo` and `make test`. Each prepares .venv by itself.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
CODE := $(sort $(dir $(wildcard src/*/__init__.py tests/*.py scripts/*.py bench/*.py examples/audit/*.py)))

# make demo REPO=path ON=local|local:FILE.gguf|simulated|messages YES=1
# No `?=`: what the environment holds must not make the demo spend, or audit something else.
REPO = .
ON = local
YES =
# make test WORKERS=8 T="-k ledger"
WORKERS ?= 2
T ?=

.PHONY: help venv model demo test check test-slow bench lock wheel fmt clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

$(READY): requirements.lock pyproject.toml scripts/make_venv.sh
	@PYTHON='$(PYTHON)' scripts/make_venv.sh $(VENV)
	@touch $@

venv: $(READY) ## the environment, as requirements.lock pins it

model: $(READY) ## fetch the small local model (89 MB, once); without it the demo says that it rehearses
	@$(PY) scripts/fetch_local_model.py || true

# It fetches the local model by itself. A path may hold anything, so it goes through the environment.
demo: export DEMO_REPO = $(value REPO)
demo: export DEMO_ON = $(value ON)
demo: $(READY) ## audit a code base with a local model, without a key (REPO=path ON=messages YES=1)
	@$(PY) examples/audit/demo.py --repo="$$DEMO_REPO" --on="$$DEMO_ON" $(if $(filter 1 yes,$(YES)),--yes)

check: $(READY) ## style, types and layers only
	$(PY) -m ruff check $(CODE)
	$(PY) -m ruff format --check $(CODE)
	$(PY) -m mypy $(CODE)
	$(VENV)/bin/lint-imports --no-logo

test: check ## the fast tests, after style, types and layers
	$(PY) -m pytest -m "not slow" -n $(WORKERS) $(T)

test-slow: $(READY) ## the rest: crashes, loads, the wheel, the demo
	$(PY) -m pytest -m slow $(T)

bench: $(READY) ## measure; the figures and what they mean are in bench/README.md
	$(PY) -m bench.overhead
	$(PY) -m bench.scale agents
	$(PY) -m bench.scale resume
	$(PY) -m bench.checks
	$(PY) -m bench.money
	$(PY) -m bench.warming
	$(PY) -m bench.memory
	$(PY) -m bench.makespan
	$(PY) -m bench.kinds
	$(PY) -m bench.critic --mutations
	$(PY) -m bench.replay
	$(PY) -m bench.estimates
	$(PY) -m bench.claude

# The lock is made with the oldest Python that is supported, so that it holds for all of them.
lock: ## pin anew what pyproject.toml asks for (make lock UP=1 takes the newest versions)
	python3.11 -m venv .venv-lock
	.venv-lock/bin/python -m pip --disable-pip-version-check --quiet install pip-tools==7.6.2
	CUSTOM_COMPILE_COMMAND='make lock' .venv-lock/bin/pip-compile --quiet --no-config --no-emit-options \
		--strip-extras --no-allow-unsafe --annotation-style=line $(if $(UP),--upgrade) \
		--extra=dev --extra=messages --extra=openai --extra=local --extra=claude \
		--output-file=requirements.lock pyproject.toml

wheel: $(READY) ## build the wheel into dist/
	$(PY) -m build --wheel --no-isolation --outdir dist

fmt: $(READY) ## put the style right
	$(PY) -m ruff check --fix $(CODE)
	$(PY) -m ruff format $(CODE)

clean: ## remove what make made
	rm -rf .venv .venv-lock build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests scripts bench -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
