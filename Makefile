# Everything a person does here, by name; `make` alone lists it. ARGS="..." goes to the program.
# WEBHOOK_* settings reach the programs from the environment or from make's command line.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Any Python 3 can hold uv; uv then finds the one (3.12 or newer) that runs the service.
BOOTSTRAP_PYTHON ?= python3
PYENV_VERSIONS := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.1[2-4]
# pyenv's shims hide every version but the chosen one from uv, so look behind them.
PYENV_NEWEST := $(lastword $(sort $(wildcard \
    $(PYENV_VERSIONS).[0-9]/bin/python3 $(PYENV_VERSIONS).[0-9][0-9]/bin/python3)))
ANY_SUPPORTED := >=3.12,<3.15
UV_PYTHON ?= $(or $(PYENV_NEWEST),$(ANY_SUPPORTED))

UV := .tools/bin/uv
PY := .venv/bin/python
# --no-deps: a lock names every package, and nothing but what it names may come in.
INSTALL := $(UV) pip install --quiet --python .venv --no-deps --build-constraints requirements/build.txt
LOCK := $(UV) pip compile --quiet --universal --python-version 3.12 --generate-hashes \
    --no-annotate --no-header $(ARGS)
# npm's scripts and wrangler must find the Node of the lock, not the machine's.
NODE_ENV := PATH="$(CURDIR)/.venv/bin:$$PATH" CI=1 WRANGLER_SEND_METRICS=false \
    WRANGLER_LOG_PATH="$(CURDIR)/.wrangler/logs" WRANGLER_REGISTRY_PATH="$(CURDIR)/.wrangler/registry"
WRANGLER := $(NODE_ENV) node_modules/.bin/wrangler

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

# --- Run -------------------------------------------------------------------------------------

.PHONY: run worker
# exec: SIGTERM and Ctrl-C reach the server itself, not a shell in front of it.
run: .venv/.run ## Run the service here on SQLite (port 8787)
	@exec .venv/bin/webhook serve $(ARGS)

worker: setup ## Run the Cloudflare Worker here in workerd, with D1 and Queues (port 8788)
	@exec $(PY) -m tools.dev_worker $(ARGS)

# --- Work on it ------------------------------------------------------------------------------

.PHONY: setup test crash simulate lint format types verify check schema lock bench deploy-dry-run clean
setup: .venv/.dev node_modules/.package-lock.json python_modules ## Install everything that tests and the Worker need

test: setup ## Run all tests, those in the real workerd included (ARGS="-n 0 ..." in one process)
	@exec $(PY) -m pytest -n auto --dist loadgroup $(ARGS)

crash: setup ## Kill it while events pour in, and count what arrives (KILLS=n, SEED=n, WORKER=1, POSTGRES=1)
	@exec $(PY) -m tests.crash $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(WORKER),--worker) $(if $(POSTGRES),--postgres) $(ARGS)

simulate: .venv/.dev ## Simulate crashes and faults (SEEDS=how many, SEED=replay one, PATCH=try a bug)
	@exec $(PY) -m tests.simulation --jobs 2 $(if $(SEEDS),--seeds $(SEEDS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(PATCH),--patch $(PATCH)) $(ARGS)

lint: .venv/.dev ## Find faults with ruff
	@$(PY) -m ruff check $(ARGS) .

format: .venv/.dev ## Lay out the code and apply ruff's safe fixes
	@$(PY) -m ruff check --quiet --fix-only .
	@$(PY) -m ruff format .

types: .venv/.dev ## Check the types strictly
	@$(PY) -m mypy $(ARGS)

verify: .venv/.dev ## Prove that the generated files are fresh
	@$(PY) -m tools.schema --check

check: .venv/.dev ## Everything that needs no test run: layout, lint, types, generated files
	@$(PY) -m ruff format --check .
	@$(MAKE) lint types verify

schema: .venv/.dev ## Make schema.sql and the migrations module from migrations/
	@$(PY) -m tools.schema

lock: .venv/pyvenv.cfg ## Resolve the locks anew (ARGS=--upgrade for newer versions)
	$(LOCK) --group bootstrap -o requirements/uv.txt
	$(LOCK) --group build -o requirements/build.txt
	$(LOCK) pyproject.toml --extra server -o requirements/run.txt
	$(LOCK) pyproject.toml --all-extras --group dev -c requirements/run.txt -o requirements/dev.txt
	$(if $(wildcard tools/lock.py),$(PY) -m tools.lock $(ARGS))

bench: setup ## Measure, each benchmark in its quick form (ARGS="throughput --pairs 7" for one, in full)
	@exec $(PY) -m benchmarks $(ARGS)

deploy-dry-run: setup ## Show what would be uploaded to Cloudflare, and its size
	@$(WRANGLER) deploy --dry-run --outdir .wrangler/dry-run $(ARGS)

clean: ## Remove what make made; data under .wrangler/ and *.db stay
	rm -rf .tools .venv node_modules python_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis .cache
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# --- Installed once, and again when a lock changes ----------------------------------------------

# A Python without ensurepip (Debian splits it off) can still use its pip; without either, a uv
# that is already on the machine has to do.
.tools/.uv: requirements/uv.txt
	@echo "Installing uv into .tools"
	@rm -rf .tools
	@if $(BOOTSTRAP_PYTHON) -m venv .tools >/dev/null 2>&1; then \
		.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<; \
	elif $(BOOTSTRAP_PYTHON) -m pip --version >/dev/null 2>&1; then \
		rm -rf .tools; \
		$(BOOTSTRAP_PYTHON) -m pip install --quiet --target .tools --require-hashes -r $<; \
	elif command -v uv >/dev/null; then \
		rm -rf .tools; mkdir -p .tools/bin; ln -s "$$(command -v uv)" $(UV); \
	else \
		echo "Needs uv on the PATH, or a $(BOOTSTRAP_PYTHON) with venv or pip." >&2; exit 1; \
	fi
	@touch $@

.venv/pyvenv.cfg: | .tools/.uv
	@$(UV) venv --quiet --allow-existing --python "$(UV_PYTHON)" .venv

.venv/.run: .venv/pyvenv.cfg requirements/run.txt requirements/build.txt pyproject.toml | .tools/.uv
	@echo "Installing the service into .venv"
	@$(INSTALL) -r requirements/run.txt -e .
	@touch $@

.venv/.dev: .venv/pyvenv.cfg requirements/dev.txt requirements/build.txt pyproject.toml | .tools/.uv
	@echo "Installing the service and its tools into .venv"
	@$(INSTALL) --exact -r requirements/dev.txt -e .
	@touch .venv/.run $@

node_modules/.package-lock.json: package-lock.json | .venv/.dev
	@echo "Installing wrangler and Pyodide into node_modules"
	@$(NODE_ENV) npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# The program knows by itself whether the folder is fresh.
.PHONY: python_modules
python_modules: .venv/.dev
	@$(PY) -m tools.vendor
