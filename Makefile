PYTHON ?= python3.11
VENV   := .venv
RUN    := $(VENV)/bin/
READY  := $(VENV)/.ready
PAGES  := $(VENV)/.pages

.DEFAULT_GOAL := help
.PHONY: help study results compatibility test check slow benchmark docs wheel clean

help:  ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,onnx,test]'
	@touch $@

study: $(READY)  ## Install, study a robot that stands, hands and walkers that were trained, write runs/*/report.html
	$(RUN)sim2real run studies/quickstart.py
	$(RUN)sim2real run studies/grasping.py episodes=3
	$(RUN)sim2real run studies/locomotion.py episodes=2

results: $(READY)  ## Run what the pages quote, or STUDY=NAME of it, and write it into them; WORKERS=N, POLICY=motion.pt
	$(RUN)python docs/results.py $(STUDY) $(if $(POLICY),--policy $(POLICY)) $(if $(WORKERS),--workers $(WORKERS))

compatibility: $(READY)  ## Install other people's environments and hold them to the laws, or NAMED=NAME of them
	$(RUN)python docs/compatibility.py $(NAMED)

test: $(READY)  ## Run the tests
	$(RUN)python -m pytest

check: $(READY)  ## Lint, types, import directions
	$(RUN)ruff check .
	$(RUN)ruff format --check .
	$(RUN)mypy
	$(RUN)python -m pytest tests/test_architecture.py

slow: $(READY)  ## Run the tests that take minutes
	$(RUN)python -m pytest -m slow

benchmark: $(READY)  ## Measure the performance targets as ratios within one run
	OMP_NUM_THREADS=1 $(RUN)python -m pytest tests/benchmarks --benchmark-enable --benchmark-sort=name

$(PAGES): $(READY)
	$(RUN)pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(PAGES)  ## Build the documentation into build/docs/
	$(RUN)sphinx-build -W --keep-going -q -b html docs build/docs

wheel: $(READY)  ## Build a wheel into dist/
	$(RUN)python -m build --wheel

clean:  ## Remove what the other targets made
	rm -rf $(VENV) build dist *.egg-info runs
