# Two commands: `make lab` to learn, `make test` to check. `make help` lists the others.
#
#   make lab PORT=9000              on another port
#   make lab PYTHON=python3.12      with another Python, 3.11 to 3.14
#   make install EXTRAS=lab,redis   more of the optional parts in pyproject.toml
#   make lab UV=                    installed by pip, though uv is there
#
# Works with GNU make 3.81, which macOS has, and needs nothing but Python.

VENV ?= .venv
EXTRAS ?= lab
TEST_EXTRAS := lab,teacher,redis,serve,bench,dev

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PY := $(BIN)/python

ifeq ($(origin UV),undefined)
UV := $(shell uv --version >/dev/null 2>&1 && echo uv)
endif
ifeq ($(UV),)
INSTALL = $(PY) -m pip install --disable-pip-version-check
else
INSTALL = $(UV) pip install --python $(PY)
endif

# An installation is as new as the two files it was made from, and bound to the folder it lies in.
PINS := $(shell cat pyproject.toml constraints.txt | cksum | cut -d ' ' -f 1)
PLACE := $(shell pwd | cksum | cut -d ' ' -f 1)
CREATED := $(VENV)/.created-$(PLACE)
HNSWLIB_TRIED := $(VENV)/.hnswlib-$(PLACE)-$(PINS)
LAB_READY := $(VENV)/.ready-$(PLACE)-$(PINS)-$(EXTRAS)
TEST_READY := $(VENV)/.ready-$(PLACE)-$(PINS)-$(TEST_EXTRAS)

CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.13 python3.12 python3.11 python3.14 python)
IN_RANGE := import sys; (3, 11) <= sys.version_info[:2] <= (3, 14) or sys.exit(1); print(sys.executable)
SAME := import sys; sys.stdout.write("%d.%d" % sys.version_info[:2])

.PHONY: help lab install test lint doctor tour constraints clean python-choice gone

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

lab: python-choice $(LAB_READY) ## install, then open JupyterLab on the first lesson
	@$(BIN)/ragcourse lab $(if $(PORT),--port $(PORT))

install: python-choice $(LAB_READY) ## install alone

test: python-choice $(TEST_READY) $(HNSWLIB_TRIED) ## install, then lint, type-check and run every test and every solution notebook
	$(PY) -m ruff check .
	$(PY) -m mypy --strict ragcourse
	$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder --nbval-lax --nbval-current-env --nbval-cell-timeout=120 \
		--nbval-kernel-startup-timeout=60 tests $(wildcard solutions)

lint: python-choice $(TEST_READY) ## ruff and mypy alone
	$(PY) -m ruff check .
	$(PY) -m mypy --strict ragcourse

doctor: python-choice $(LAB_READY) ## say what is installed and what runs on this machine
	@$(BIN)/ragcourse doctor

tour: python-choice $(LAB_READY) ## the main job without a notebook
	@$(BIN)/ragcourse tour

clean: ## remove the virtual environment and the caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Pins that still fit the ranges stay; UPGRADE=--upgrade takes the newest of all. Then every pin must
# have a wheel for each system and each Python that the course promises. hnswlib is the exception: nobody
# publishes wheels of it, so it is an extra of its own, built where there is a C++ compiler.
PLATFORMS := x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu aarch64-apple-darwin x86_64-pc-windows-msvc
RESOLVE := uv pip compile --quiet --all-extras --no-header --no-annotate pyproject.toml
constraints: ## resolve pyproject.toml anew into constraints.txt (needs uv)
	$(RESOLVE) $(UPGRADE) --universal --python-version 3.11 --fork-strategy fewest -o constraints.txt
	@if grep -i '^torch' constraints.txt; then echo 'torch has no place in the course environment' >&2; exit 1; fi
	@for version in 3.11 3.12 3.13 3.14; do for platform in $(PLATFORMS); do \
		echo "wheels for Python $$version on $$platform"; \
		MACOSX_DEPLOYMENT_TARGET=14.0 $(RESOLVE) -c constraints.txt --only-binary :all: --no-binary hnswlib \
			--python-version $$version --python-platform $$platform >/dev/null || exit 1; \
	done; done

$(VENV)/.ready-$(PLACE)-$(PINS)-%: $(CREATED)
	$(INSTALL) -c constraints.txt -e '.[$*]'
	@rm -f $(VENV)/.ready-*-$*
	@touch $@

# Tests that want hnswlib are skipped, with that reason, where it does not build.
$(HNSWLIB_TRIED): $(TEST_READY)
	@$(INSTALL) -c constraints.txt -e '.[hnswlib]' || \
		echo "hnswlib did not build here (it takes a C++ compiler and Python's headers): its tests are skipped"
	@rm -f $(VENV)/.hnswlib-*
	@touch $@

# An environment that was moved or copied here is made anew; one that the learner made is used as it is.
$(CREATED): $(if $(shell $(PY) -c 'print(1)' 2>/dev/null),,gone)
	@if [ -x $(PY) ] && ! ls $(VENV)/.created-* >/dev/null 2>&1; then \
		$(PY) -c '$(IN_RANGE)' >/dev/null && exit 0; \
		echo "$(VENV) has a Python that is not 3.11 to 3.14: run 'make clean' first" >&2; exit 1; \
	fi; \
	python=; \
	for candidate in $(CANDIDATES); do \
		python=$$($$candidate -c '$(IN_RANGE)' 2>/dev/null) && break; \
	done; \
	if [ -z "$$python" ] && [ -n "$(UV)" ] && [ -z "$(PYTHON)" ]; then \
		python='>=3.11,<3.15'; \
	elif [ -z "$$python" ]; then \
		echo "ragcourse needs Python 3.11 to 3.14, and none of these is one: $(CANDIDATES)" >&2; \
		echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	if [ -n "$(UV)" ]; then \
		$(UV) venv --quiet --seed --clear --python "$$python" $(VENV); \
	elif "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
		"$$python" -m venv --clear $(VENV); \
	else \
		echo "$$python cannot make a virtual environment: part of its venv module is missing." >&2; \
		echo "On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; \
	fi
	@touch $@

# PYTHON= picks the Python of a new environment; it must not be ignored when there is one already.
python-choice:
ifneq ($(PYTHON),)
	@wanted=$$($(PYTHON) -c '$(SAME)') || { echo "PYTHON=$(PYTHON) does not run" >&2; exit 1; }; \
	if [ -x $(PY) ] && [ "$$($(PY) -c '$(SAME)')" != "$$wanted" ]; then \
		echo "$(VENV) has another Python than PYTHON=$(PYTHON) ($$wanted): run 'make clean' first" >&2; exit 1; \
	fi
endif
