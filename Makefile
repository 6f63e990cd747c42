.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OLDEST := .venv-oldest
BENCHMARKS := pusht_env_speed policy_latency numpy_core generation image_pipeline gan_svhn step_time processes
NOTEBOOKS := $(patsubst notebooks/%.md,runs/notebooks/%.ipynb,$(wildcard notebooks/[0-9]_*.md))

define LOWER_BOUNDS
import re, tomllib
with open("pyproject.toml", "rb") as file:
    for requirement in tomllib.load(file)["project"]["dependencies"]:
        print(re.sub(r"(\[.*\])?>=([^,]+).*", r"==\2", requirement))
endef
export LOWER_BOUNDS

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/firstlight: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/firstlight-dev: $(VENV)/firstlight
	$(BIN)/python -m pip install --quiet --editable '.[dev,peers,export,inception]'
	@touch $@

demo: $(VENV)/firstlight  ## train a Push-T policy for five minutes, compare it with the shipped one, write a video
	$(BIN)/python -m demo

play: $(VENV)/firstlight  ## a page in the browser: push the T, draw, watch every model at work
	$(BIN)/python -m app

test: $(VENV)/firstlight-dev  ## the tests, in minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' -n 2 --dist loadfile

test-slow: $(VENV)/firstlight-dev  ## all tests
	$(BIN)/python -m pytest

$(OLDEST)/firstlight: pyproject.toml
	@test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	$(PYTHON) -c "$$LOWER_BOUNDS" > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet --editable '.[dev]' --constraint $(OLDEST)/constraints.txt
	@touch $@

test-oldest: $(OLDEST)/firstlight  ## the tests with the oldest dependencies that pyproject.toml allows
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -m 'not slow' -n 2 --dist loadfile

lint: $(VENV)/firstlight-dev  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/firstlight-dev  ## check types
	$(BIN)/mypy

format: $(VENV)/firstlight-dev  ## mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/firstlight-dev  ## every benchmark
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -W ignore -m benchmarks.$$name || exit 1; done

results: $(VENV)/firstlight  ## test every model in pretrained/ again and hold the figures against their cards
	$(BIN)/python -m benchmarks.results

runs/notebooks/%.ipynb: notebooks/%.md | $(VENV)/firstlight-dev
	@mkdir -p $(@D)
	$(BIN)/jupytext --quiet --to ipynb --execute --output $@ $<

notebooks: $(NOTEBOOKS)  ## run the notebooks that changed, with their pictures, into runs/notebooks/

$(VENV)/firstlight-docs: $(VENV)/firstlight
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

docs: $(VENV)/firstlight-docs notebooks  ## the site of docs/ and the notebooks, into build/site; a warning is a failure
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

docs-serve: $(VENV)/firstlight-docs  ## the site at http://127.0.0.1:8000, built anew at every change
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve

board: $(VENV)/firstlight  ## TensorBoard over runs/
	$(BIN)/tensorboard --logdir runs

.PHONY: help demo play test test-slow test-oldest lint types format bench results notebooks docs docs-serve board
