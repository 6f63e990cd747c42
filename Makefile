.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCHMARKS := pusht_env policy_latency numpy_core generation image_pipeline gan_svhn

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/firstlight: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/firstlight-dev: $(VENV)/firstlight
	$(BIN)/python -m pip install --quiet --editable '.[dev,peers]'
	@touch $@

demo: $(VENV)/firstlight  ## train a Push-T policy for five minutes, compare it with the shipped one, write a video
	$(BIN)/python -m demo

test: $(VENV)/firstlight-dev  ## the tests, in minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' -n 2 --dist loadfile

test-slow: $(VENV)/firstlight-dev  ## all tests
	$(BIN)/python -m pytest

lint: $(VENV)/firstlight-dev  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/firstlight-dev  ## mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/firstlight-dev  ## every benchmark
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -W ignore -m benchmarks.$$name || exit 1; done

results: $(VENV)/firstlight  ## test every model in pretrained/ again and hold the figures against their cards
	$(BIN)/python -m benchmarks.results

board: $(VENV)/firstlight  ## TensorBoard over runs/
	$(BIN)/tensorboard --logdir runs

.PHONY: help demo test test-slow lint format bench results board
