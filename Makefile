# Every target sets up what it needs: a fresh machine has git, make and Python >= 3.11, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CONSOLE := src/stepkeel/console/dist/index.html

# The suite starts hundreds of processes: each would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check console screenshots bench peers filled soak mutants lock clean

demo: $(READY) $(CONSOLE)  ## 500 orders to approve (run it again after a kill -9 and it continues), two stories, and then all of it live, with the console
	@$(BIN)/python -m examples.order_approval.demo $(DEMO_ARGS)
	@$(BIN)/python -m examples.order_processing.demo
	@$(BIN)/python -m examples.onboarding.demo
	@[ -n "$(CI)" ] || $(BIN)/python -m examples.live $(LIVE_ARGS)

console: $(CONSOLE)  ## the web console, built once: needs Node 20 or newer; without Node nothing is done, and its address says so

test: $(READY) $(CONSOLE)  ## the whole test suite, under five minutes on two cores; three workers, for many tests wait for processes
	@$(BIN)/python -m pytest -n 3 -q $(TEST_ARGS)

check: $(READY)  ## format, lint, types, import directions, house rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/house

screenshots: $(READY) $(CONSOLE)  ## every screen of the console, at both widths and in both appearances; SCREENSHOTS=folder
	@$(BIN)/python -m tests.console.screenshots $(or $(SCREENSHOTS),screenshots)

bench: $(READY)  ## the speed figures of the README, medians of three rounds, and those of the peers
	@$(BIN)/python -m benchmarks.table $(BENCH_ARGS)
	@$(BIN)/python -m benchmarks.peers $(BENCH_ARGS)

peers: $(READY)  ## the order workload beside what a user might pick instead, interleaved, three rounds
	@$(BIN)/python -m benchmarks.peers $(BENCH_ARGS)

filled: $(READY)  ## p99 on an empty PostgreSQL and with a million waiting and a million ended instances
	@$(BIN)/python -m benchmarks.filled $(BENCH_ARGS)

soak: $(READY)  ## the simulation with seeds that nobody has run yet, for MINUTES=10
	@MINUTES=$(or $(MINUTES),10) $(BIN)/python -m pytest -q -m soak $(TEST_ARGS)

mutants: $(READY)  ## planted defects, and the seed at which the simulation finds each
	@$(BIN)/python -m pytest -n 2 -q -rP tests/simulation/test_mutants.py | grep -E "^[a-z_]+: seed|passed|failed|FAILED"

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("Stepkeel needs Python >= 3.11, this is %d.%d; name another with PYTHON=python3.x" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

$(CONSOLE): docs/reference/openapi.json console/package-lock.json $(shell find console/src console/public console/index.html console/vite.config.ts -type f -not -name schema.d.ts 2>/dev/null)
	@$(PYTHON) console/hatch_build.py

lock:  ## resolve the dependencies anew, every file pinned by its hash
	@$(PYTHON) -m venv $(VENV)/uv && $(VENV)/uv/bin/pip install --quiet uv
	@$(VENV)/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--all-extras --group dev --custom-compile-command "make lock" pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) console/node_modules src/stepkeel/console/dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache demo.db*
