# Two commands do all the set-up: `make demo` and `make test`. PYTHON=python3.12 chooses an interpreter.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
BASE = $(VENV)/.installed
STAMP = $(VENV)/.installed-dev
PIP = $(RUN) -m pip install --quiet --disable-pip-version-check

# Without asserts: what reads, and says why not.
OPTIMIZED = $(addprefix tests/,conformance/test_stream_vectors.py conformance/test_vectors.py unit/test_api.py unit/test_errors.py unit/test_policy.py)
# Without a look at coverage, which would take half as long again: many cases of what others cover.
UNTRACED = $(addprefix tests/,conformance/test_spec.py docs/test_docs.py hostile/test_corpus.py hosts property \
	unit/schema/test_drift.py unit/test_architecture.py unit/trust/test_benign.py)

.PHONY: demo test test-here test-others lint types check soak bench vectors build clean

$(BASE): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("pickleseal needs Python 3.10 or newer, and this is " + sys.version) if sys.version_info < (3, 10) else None'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) --editable .
	@touch $(BASE)

$(STAMP): $(BASE)
	$(PIP) --editable ".[dev]"
	@touch $(STAMP)

demo: $(BASE)
	@$(RUN) examples/tour.py

# Side by side, as most of it runs on one core: the suite, and some of it without asserts; then on other interpreters.
test: $(STAMP)
	$(MAKE) -j2 test-here test-others

test-here: $(STAMP)
	$(RUN) -m coverage run -m pytest -q $(UNTRACED:%=--ignore=%)
	$(RUN) -m coverage report --fail-under=95
	$(RUN) -m pytest -q -p no:cacheprovider $(UNTRACED)
	$(RUN) -O -m pytest -q -p no:cacheprovider -W ignore::pytest.PytestConfigWarning $(OPTIMIZED)

test-others: $(STAMP)
	$(RUN) tests/interpreters.py

lint: $(STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(STAMP)
	$(RUN) -m mypy

check: test lint types

soak: $(STAMP)
	$(RUN) tests/soak.py --seconds $(or $(SECONDS),300)

bench: $(STAMP)
	$(RUN) benchmarks/run.py

vectors: $(STAMP)
	$(RUN) spec/generate.py
	$(RUN) docs/frame_picture.py

build: $(STAMP)
	$(RUN) -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) .venv-* dist build .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
