# Two commands do all the set-up: `make demo` and `make test`. PYTHON=python3.12 chooses an interpreter.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
STAMP = $(VENV)/.installed

.PHONY: demo test lint types check soak bench vectors coverage build clean

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("pickleseal needs Python 3.10 or newer, and this is " + sys.version) if sys.version_info < (3, 10) else None'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $(STAMP)

demo: $(STAMP)  ## real objects packed, inspected, verified, damaged and refused
	@$(RUN) examples/tour.py

test: $(STAMP)  ## the whole suite, again under -O, and on every other Python that is here
	$(RUN) -m coverage run -m pytest -q
	$(RUN) -m coverage report --fail-under=95
	$(RUN) -O -m pytest -q -p no:cacheprovider -W ignore::pytest.PytestConfigWarning
	$(RUN) tests/interpreters.py

lint: $(STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(STAMP)
	$(RUN) -m mypy

check: test lint types

soak: $(STAMP)  ## long fuzzing: SECONDS=600 for ten minutes
	$(RUN) tests/soak.py --seconds $(or $(SECONDS),300)

bench: $(STAMP)
	$(RUN) benchmarks/run.py

vectors: $(STAMP)  ## write spec/vectors/ and the worked example anew
	$(RUN) spec/generate.py
	$(RUN) docs/frame_picture.py

build: $(STAMP)
	$(RUN) -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) .venv-* dist build .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
