# Everything runs in .venv, made on first use and brought up to date when pyproject.toml or
# constraints.txt change. Start over with: rm -rf .venv
PYTHON ?= python3
JOBS ?= 2
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUNS := $(VENV)/.runs
# One thread per process: the arrays in the tests are small and the processes already fill the cores.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

.DEFAULT_GOAL := help
.PHONY: help demo hwa hwa-docs test lint format bench examples docs constraints clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "installing mho and its tools into $(VENV) (a few minutes the first time)"
	@$(PIP) -e ".[dev]"
	@touch $@ $(RUNS)

# What `mho drift` needs, without the tools of a developer: 1.4 instead of 2.5 GB of .venv.
$(RUNS): pyproject.toml constraints.txt
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "installing mho into $(VENV) (a minute or two the first time)"
	@$(PIP) -e ".[study]"
	@touch $@

demo: $(RUNS)  ## the main job: one network, one year on a chip (runs/demo)
	@$(BIN)/mho drift --output runs/demo $(ARGS)

hwa: $(READY)  ## a year of drift on images, texts and rows of words, quickly (runs/hwa-quick; ARGS="--seed 3")
	@$(BIN)/mho hwa --quick $(ARGS)

hwa-docs: $(READY)  ## the tables and the picture of docs/hwa.md (runs/hwa-quick-seed5 and -seed6)
	@$(BIN)/mho hwa --quick --seed 5
	@$(BIN)/mho hwa --quick --seed 6
	@cp runs/hwa-quick-seed5/dashboard.png docs/assets/hwa.png

test: $(READY)  ## all tests and the examples in docstrings (ARGS=... for pytest, JOBS=processes)
	@$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(JOBS) $(ARGS)

lint: $(READY)  ## style, types, floors of the house, documentation
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(MKDOCS)

format: $(READY)  ## let ruff format and mend what it can
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(READY)  ## times of the hot paths against plain torch
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: pretrained
pretrained: $(READY)  ## a pretrained encoder on the chips of the README, 10 of them, against floors (ARGS="--chips 1")
	@$(BIN)/python -m benchmarks.pretrained $(ARGS)

examples: $(READY)  ## run every file in examples/, in runs/examples (quickly, where it knows how)
	@mkdir -p runs/examples
	@set -e; for file in examples/*.py; do \
	  quick=$$(grep -q -e --quick "$$file" && echo --quick || true); \
	  echo "$$file $$quick"; \
	  (cd runs/examples && "$(CURDIR)/$(BIN)/python" "$(CURDIR)/$$file" $$quick); \
	done

docs: $(READY)  ## the documentation, into site/
	@$(MKDOCS) && echo "site/index.html"

.PHONY: notebook
notebook: $(READY)  ## run MemTorch's tutorial as a notebook, into docs/ with its outputs (a minute)
	@$(ONE_THREAD) $(BIN)/python scripts/notebook.py

constraints: $(READY)  ## write the versions installed in .venv to constraints.txt
	@$(BIN)/python scripts/constraints.py && touch $(READY) $(RUNS)

clean:  ## remove what the tools wrote (not .venv, not runs/)
	@rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find src tests benchmarks examples scripts -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
