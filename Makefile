# `make benchmark` and `make test` need nothing but Python >= 3.11 and make: the first use sets up .venv.
# PYTHON=... chooses the interpreter, ARGS=... is passed on to the command.

PACKAGES := baselines seigan improved_layered_gan ilsgan concept_distillation
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
CANDIDATES := $(PYTHON) python3 python3.13 python3.12 python3.11

.PHONY: benchmark test test-slow guide lint format docs build clean help

help:  ## Say what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

benchmark: $(READY)  ## Compare all methods on the embedded scenes; results in runs/benchmark.
	@$(BIN)/python benchmarks/run.py --methods all --out runs/benchmark $(ARGS)

test: $(READY)  ## Run the tests, all but the slow and the GPU ones.
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

test-slow: $(READY)  ## Run the slow tests.
	@$(BIN)/python -m pytest -m slow $(ARGS)

guide: $(READY)  ## Follow the plugin guide in an environment of its own, from the wheels.
	@$(BIN)/python -m pytest -m 'slow or not slow' tests/e2e/test_guide.py $(ARGS)

lint: $(READY)  ## Check style and types.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY)  ## Bring the code into its style.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(READY)  ## Build the documentation into docs/_build/html.
	@$(BIN)/python -m sphinx -W -q -b html docs docs/_build/html

build: $(READY)  ## Build wheels of the core and of every plugin into dist.
	@for folder in . $(PACKAGES:%=plugins/%); do $(BIN)/python -m build -q --outdir dist $$folder || exit 1; done

clean:  ## Remove the environment and everything that was made.
	rm -rf $(VENV) dist runs docs/_build

$(READY): pyproject.toml $(PACKAGES:%=plugins/%/pyproject.toml)
	@for python in $(CANDIDATES); do \
		if $$python -c '$(NEW_ENOUGH)' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo "No Python 3.11 or newer was found; say which with PYTHON=..." >&2; exit 1; fi; \
	echo "Setting up $(VENV) with $$found (a few minutes, once)" >&2; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1 && ! $$found -m venv $(VENV) >/dev/null 2>&1; then \
		$$found -m venv --clear --without-pip $(VENV) && \
		$$found -m pip --python $(BIN)/python install --quiet --ignore-installed pip || { \
			echo "$$found cannot make $(VENV) with pip in it; on Debian and Ubuntu: sudo apt install python3-venv" >&2; \
			rm -rf $(VENV); exit 1; \
		}; \
	fi
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet -e '.[dev,docs]' $(PACKAGES:%=-e plugins/%)
	@$(BIN)/python -m pip install --quiet --upgrade --target $(VENV)/hub-1 'huggingface-hub>=1.33,<2'
	@touch $@
