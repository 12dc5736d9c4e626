PYTHON ?= python3
SCRIPTS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := .venv/$(SCRIPTS)

OBJECTS := ape,benchvise,bowl,cam,can,cat,cup,driller,duck,eggbox,glue,holepuncher,iron,lamp,phone

.PHONY: help setup blender blenderproc addon demo test test-all test-slow coverage check reproduce-smoke dist-check gpu gpu-bundle linemod-target builtin-models docs

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 20

setup: .venv/installed  ## Make .venv with everything in it, in the versions of constraints.txt.

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train,paper,test,check,docs]'
	@touch $@

blender: .venv-blender/installed  ## Make .venv-blender, a Python with Blender in it; tests use it where it is.

.venv-blender/installed: constraints-blender.txt
	$(PYTHON) -m venv .venv-blender
	.venv-blender/$(SCRIPTS)/python -m pip install --quiet -c constraints-blender.txt bpy opencv-python-headless
	@touch $@

# What BlenderProc 2.8.0 installs into Blender's Python, and ONNX Runtime.
BLENDERPROC_PACKAGES := bpy onnxruntime gitpython h5py imageio matplotlib opencv-contrib-python \
	Pillow progressbar pypng pyrender python-dateutil pytz pyyaml requests rich scikit-image \
	scikit-learn scipy trimesh wheel

blenderproc: .venv-blenderproc/installed  ## Make .venv-blenderproc, BlenderProc on Blender's wheel; tests use it where it is.

# BlenderProc removes the folder that it is in from where modules are found: it has one of its own.
.venv-blenderproc/installed: constraints-blenderproc.txt
	$(PYTHON) -m venv .venv-blenderproc
	.venv-blenderproc/$(SCRIPTS)/python -m pip install --quiet -c constraints-blenderproc.txt $(BLENDERPROC_PACKAGES)
	.venv-blenderproc/$(SCRIPTS)/python -m pip install --quiet -c constraints-blenderproc.txt --no-deps --target .venv-blenderproc/blenderproc blenderproc
	@touch $@

ifneq ($(wildcard .venv-blender/installed),)
export RENDER_ADAPT_BLENDER_PYTHON ?= $(CURDIR)/.venv-blender/$(SCRIPTS)/python
endif

PLATFORMS ?= linux-x64
PYTHONS ?= 3.11,3.13,3.14

addon: blender  ## Build the Blender extension in build/addon; PLATFORMS=linux-x64,windows-x64,macos-arm64.
	.venv-blender/$(SCRIPTS)/python blender_addon/build.py --platforms $(PLATFORMS) --pythons $(PYTHONS)

demo: setup  ## Make 600 labelled, adapted crops of the built-in models in demo/.
	$(BIN)/render-adapt --objects $(OBJECTS) --n 600 --out demo
	@echo 'The command is $(CURDIR)/$(BIN)/render-adapt; `source $(BIN)/activate` puts it on the PATH of this shell.'

# A file's tests share what they have made, and run one after another.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile
QUICK := -m 'not slow and not several_seconds'

test: setup  ## Run the quick tests, on all cores.
	$(PYTEST) $(QUICK)

test-all: setup  ## Run those that take several seconds too, as CI does.
	$(PYTEST)

test-slow: setup  ## Run the tests that take minutes.
	$(BIN)/python -m pytest -m slow
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=long

docs: setup  ## Build the site of docs/ in build/site; nothing of it asks another machine for anything.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

coverage: setup  ## Show which lines and branches the tests of `make test-all` leave out; at most 5 %.
	$(PYTEST) --cov --cov-report term --cov-fail-under 95

check: setup  ## Lint, type-check, and hold the packages to their public surface.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_public_surface.py

DIST_PYTHONS ?= 3.11,3.12,3.13
NUMPYS ?= 1.26,2

dist-check: setup  ## Build wheel and source distribution, and install them and each extra into clean environments.
	$(BIN)/python -m benchmarks.distributions --pythons $(DIST_PYTHONS) --numpy $(NUMPYS)

reproduce-smoke: setup  ## Show in minutes, on real digits, that adaptation works.
	$(BIN)/render-adapt reproduce table1 --preset smoke --data $(DATA)

PIECE ?= 1

gpu: setup  ## Measure and train on a GPU; docs/gpu.md has machines that are lent by the minute.
	$(BIN)/python -m benchmarks.gpu --piece $(PIECE)

gpu-bundle: setup  ## Pack packages and DATA for a machine without a network, in .gpu/.
	$(BIN)/python -m benchmarks.gpu --bundle .gpu --data $(DATA)

DATA ?= ../shared/data

linemod-target: setup  ## Make the shipped adapter's target set in build/ from real crops in DATA.
	$(BIN)/python -m benchmarks.linemod_target --data $(DATA) --out build/linemod_target

builtin-models: setup  ## Make the built-in models again from their signed-distance functions.
	$(BIN)/python -m cad_models.builtin.make_models
