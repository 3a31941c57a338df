# `make demo` and `make test` do all the set-up. PYTHON=python3.12 chooses an interpreter.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
BASE = $(VENV)/.installed
TEST = $(VENV)/.installed-test
DEV = $(VENV)/.installed-dev
PIP = $(RUN) -m pip install --quiet --disable-pip-version-check
# One process for each core; the tests of one file stay together, as they share what is slow to make.
PYTEST = -m pytest -q -p no:cacheprovider -n auto --maxprocesses 8 --dist loadfile

# Measured for coverage: all but many cases of what others reach, which would take half as long again.
UNMEASURED = conformance/test_spec.py docs/test_docs.py hostile/test_corpus.py property unit/schema/test_drift.py \
	unit/test_architecture.py unit/trust/test_benign.py
# Run once more with `python -O`, which drops asserts.
OPTIMIZED = tests/conformance/test_stream_vectors.py tests/conformance/test_vectors.py \
	tests/unit/test_api.py tests/unit/test_errors.py tests/unit/test_policy.py

.PHONY: demo test test-all lint types check soak bench vectors build clean

$(RUN):
	$(PYTHON) -c 'import sys; sys.exit("pickleseal needs Python 3.10 or newer, and this is " + sys.version) if sys.version_info < (3, 10) else None'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip

$(BASE): $(RUN) pyproject.toml
	$(PIP) --editable .
	@touch $@

$(TEST): $(RUN) pyproject.toml
	$(PIP) --editable ".[test]"
	@touch $@

$(DEV): $(RUN) pyproject.toml
	$(PIP) --editable ".[dev]"
	@touch $@

demo: $(BASE)
	@$(RUN) examples/tour.py

# The core: all that needs no server, no large package, no type checker and no other interpreter.
test: $(TEST)
	$(RUN) $(PYTEST) --ignore=tests/hosts --ignore=tests/typing

# The rest: real servers and large packages, with coverage; python -O; the other interpreters of this machine.
test-all: $(DEV)
	$(RUN) $(PYTEST) --cov --cov-report=term --cov-fail-under=95 $(UNMEASURED:%=--ignore=tests/%)
	PYTHONOPTIMIZE=1 $(RUN) $(PYTEST) -W ignore::pytest.PytestConfigWarning $(OPTIMIZED)
	$(RUN) tests/interpreters.py

lint: $(DEV)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(DEV)
	$(RUN) -m mypy
	PATH="$(abspath $(VENV))/bin:$$PATH" $(RUN) -m pyright --verifytypes pickleseal --ignoreexternal

check: test test-all lint types

soak: $(DEV)
	$(RUN) tests/soak.py --seconds $(or $(SECONDS),300)
	$(RUN) tests/mutation.py --seconds $(or $(SECONDS),1200)

bench: $(DEV)
	$(RUN) benchmarks/run.py

vectors: $(DEV)
	$(RUN) spec/generate.py
	$(RUN) docs/frame_picture.py

build: $(DEV)
	$(RUN) -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) .venv-* dist build .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
