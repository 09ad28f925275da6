# Three commands: `make demo`, `make test` and `make docs`. All set up their own environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/pip --disable-pip-version-check

# Which build of PyTorch: cpu, default (with CUDA on Linux), or auto: cpu where no NVIDIA driver is found.
TORCH ?= auto
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: demo test lint docs clean

demo: $(STAMP)
	$(BIN)/openpair demo --out demo

# Two processes with a thread each: threads that wait for each other on a full machine cost several times the work.
# Files start in their order, since the slowest, of commands, come early.
test: $(STAMP) lint
	OPENPAIR_TEST_WHEEL=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff check src tests examples docs
	$(BIN)/ruff format --check src tests examples docs
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build
	@echo "open docs/_build/index.html"

$(STAMP): pyproject.toml constraints.txt
	@echo "Installing OpenPaIR and what it needs into $(VENV): about 3 GB with the CPU build of PyTorch, 7.6 GB with CUDA."
	@echo "It takes minutes, as fast as the network. 'make TORCH=cpu' or 'make TORCH=default' chooses the build."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if [ "$(TORCH)" = cpu ] || { [ "$(TORCH)" = auto ] && ! command -v nvidia-smi > /dev/null; }; then \
		echo "No GPU is used: installing the CPU build of PyTorch from $(TORCH_CPU_INDEX)"; \
		$(PIP) install --retries 0 --timeout 15 -c constraints.txt --index-url $(TORCH_CPU_INDEX) torch torchvision \
			|| { [ "$(TORCH)" = auto ] && echo "It cannot be had there: the default build follows."; }; \
	fi
	$(PIP) install -c constraints.txt -e '.[train,dev,docs,world]'
	@touch $(STAMP)
	@echo "Installed: $$(du -sh $(VENV) | cut -f1) in $(VENV)"

clean:
	rm -rf $(VENV) demo tour docs/_build .pytest_cache .mypy_cache .ruff_cache
