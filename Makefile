# Two commands do all set-up on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-all coverage lint docs gallery bench-speed bench-variants bench-recipe bench-memory bench-codec bench-denoise bench-manifold bench-tables bench-anomalies bench-kills bench-scale bench-serve test-oldest test-newest release-check image-check clean

demo: $(VENV)/.installed
	@$(BIN)/isthmus train digits --latent-dim 10 --seed 0 --output demo --overwrite

# A worker that dies ends the run at once, with its report: in its place another one would wait for ever.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadfile --max-worker-restart 0

test: $(VENV)/.installed-dev lint
	$(PYTEST) -m 'not slow'

test-all: $(VENV)/.installed-dev lint
	$(PYTEST)

# Which lines the tests reach. Before Python 3.12 watching them takes a third more time.
coverage: $(VENV)/.installed-dev
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-report=xml

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Executes the notebooks of docs/gallery; they need the data sets that their first cells name (ISTHMUS_DATA).
gallery: $(VENV)/.installed-dev
	$(BIN)/python docs/gallery/build.py

# A release: the wheel and the sdist, and every command of both in an environment of its own.
release-check: $(VENV)/.installed-dev
	$(BIN)/python tests/release_check.py

# What the Dockerfile says, where no engine runs.
image-check: $(VENV)/bin/python
	$(BIN)/python tests/dockerfile_steps.py

# Whether the bounds of pyproject.toml are true.
test-oldest: $(VENV)/bin/python
	$(BIN)/python tests/release_check.py --constraints .ci/oldest.txt

test-newest: $(VENV)/bin/python
	$(BIN)/python tests/release_check.py --constraints .ci/newest.txt

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing isthmus (PyTorch is large: this takes a minute or two) ..."
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.installed

# Measurements: see docs/benchmarks.md. They need MNIST (ISTHMUS_DATA, the cache, or a network). The first two go on
# where one of them fails, and end with a table of targets; `make bench-speed QUICK=1` only shows that they run.
MEASURE = $(BIN)/python bench/targets.py $(if $(QUICK),--quick)

bench-speed: $(VENV)/.installed-dev
	$(MEASURE) startup throughput time_to_quality quality_at_budget growth

bench-variants: $(VENV)/.installed
	$(BIN)/python bench/variants.py upsamplings
	$(BIN)/python bench/variants.py objectives

bench-recipe: $(VENV)/.installed
	$(BIN)/python bench/recipe.py

bench-memory: $(VENV)/.installed
	$(BIN)/python bench/memory.py
	$(BIN)/python bench/big_table.py

bench-codec: $(VENV)/.installed-dev
	$(INSTALL) --editable '.[all,bench]'
	$(MEASURE) codec_lossless codec_lossy codec_speed 'hostile archives $(if $(QUICK),100,10000)' codec_memory

bench-denoise: $(VENV)/.installed-dev
	$(INSTALL) --editable '.[all,bench]'
	$(BIN)/python bench/denoise.py
	$(BIN)/python bench/denoise_memory.py

bench-manifold: $(VENV)/.installed-dev
	$(INSTALL) --editable '.[all,bench]'
	$(BIN)/python bench/manifold.py
	$(BIN)/python bench/latent_space.py
	$(BIN)/python bench/search.py
	$(BIN)/python bench/map_page.py
	$(BIN)/python bench/explorer.py

bench-tables: $(VENV)/.installed-dev
	$(BIN)/python bench/imputation.py
	$(BIN)/python bench/synthetic.py
	$(BIN)/python bench/table_codes.py

bench-kills: $(VENV)/.installed-dev
	$(BIN)/python bench/kills.py

bench-anomalies: $(VENV)/.installed-dev
	$(BIN)/python bench/anomalies.py
	$(BIN)/python bench/anomalies_images.py
	$(BIN)/python bench/anomalies_series.py
	$(BIN)/python bench/calibration.py p-values
	$(BIN)/python bench/calibration.py groups
	$(BIN)/python bench/calibration.py drift

bench-serve: $(VENV)/.installed-dev
	$(BIN)/python bench/serve.py

bench-scale: $(VENV)/.installed-dev
	$(BIN)/python bench/scale.py
	$(BIN)/python bench/scale_ray.py
	$(BIN)/python bench/scale_remote.py
	$(BIN)/python bench/gpu.py

# The site, without a network: build/site/index.html
docs: $(VENV)/.installed-dev
	$(BIN)/python docs/generate/build_site.py build

clean:
	rm -rf $(VENV) build demo .coverage coverage.xml .mypy_cache .pytest_cache .ruff_cache .hypothesis
