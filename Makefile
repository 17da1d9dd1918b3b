# SPDX-License-Identifier: MIT
# `make demo` and `make test` set up all that they need. The stages of a test run are in tox.ini; `make NAME` runs one.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILT := dist/built
SOURCES := $(shell find xenvcpu cbind -name '*.py' -o -name '*.h' -o -name '*.json') setup.cfg pyproject.toml README.md
STAGES := $(shell sed -n 's/^\[testenv:\([a-z-]*\)\]$$/\1/p' tox.ini) $(foreach n,39 310 311 312 313,py$n)
WHEEL = dist/xenvcpu-*.whl
RUN = $(BIN)/python -m tests.lanes --wheel $(WHEEL)

# Prints a command, and what it prints only if it fails.
QUIETLY = @echo "$(1)"; mkdir -p build; $(1) >build/make.log 2>&1 || { cat build/make.log; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help demo check test test-all test-rest lab-shell lab-demo bench man dist deb clean $(STAGES)

help:
	@echo "make demo      start the vcpus of a model guest; no Xen, no root"
	@echo "make check     lint, types and the fast tests: under two minutes"
	@echo "make test      within ten minutes, an emulated Xen host included"
	@echo "make test-all  all that there is: within 45 minutes"
	@echo "make lab       the suites on real Xens in QEMU; K=kills for some tests, RELEASE=4.20 for one Xen, FULL=1 for all counts"
	@echo "make lab-demo  the demo on a real Xen; make lab-shell   a shell in its dom0, xenvcpu installed"
	@echo "make bench     how fast, as ratios"
	@echo "make man       the manual, in build/man"
	@echo "make dist      the sdist, and from it the wheel, in dist/"
	@echo "make deb       the Debian packages, in dist/debian/; needs what \`apt-get build-dep .\` installs"
	@echo "One stage of the tests, ARGS for its arguments: make $(STAGES)"

$(BIN)/tox:
	@$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: apt install python3-venv"; exit 5; }
	$(call QUIETLY,$(BIN)/pip install build tox tox-uv)

# The wheel is made from the sdist, not from the checkout, and is what everything below runs.
$(BUILT): $(BIN)/tox $(SOURCES)
	@rm -rf dist *.egg-info
	$(call QUIETLY,$(BIN)/python -m build --installer uv --outdir dist .)
	@touch $@

$(VENV)/installed: $(BUILT)
	$(call QUIETLY,$(BIN)/pip install --force-reinstall --no-deps $(WHEEL))
	$(call QUIETLY,$(BIN)/pip install "$$(ls $(WHEEL))[rich]")
	@touch $@

demo: $(VENV)/installed
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

check test: $(BUILT)
	@$(RUN) $@

# The fast tests run on this Python as `unit`, and the tests of `lab-smoke` are among those of `lab-full`.
ALREADY = -py$(shell $(PYTHON) -c 'import sys; print("%d%d" % sys.version_info[:2])')

test-all: $(BUILT)
	@$(RUN) all test -lab-smoke $(ALREADY)

# All that `make test` has not run.
test-rest: $(BUILT)
	@$(RUN) all $(ALREADY)

# K chooses tests as pytest's -k does, RELEASE the Xen (one or more, and without it several), FULL=1 as many kills, races
# and cycles as the README quotes, SMOKE=1 a few tests on the Xens that are left out otherwise, HOSTS how many at once.
lab: ARGS = $(addprefix --deb ,$(wildcard dist/debian/*.deb)) $(addprefix --release ,$(RELEASE)) $(if $(K),-k "$(K)") \
	$(if $(FULL),--full) $(if $(SMOKE),--smoke-others) $(if $(HOSTS),--hosts $(HOSTS))

fuzz: ARGS = --seconds 300
# All mutants, or those of MODULES: parts of paths.
mutants: ARGS = $(or $(MODULES),xenvcpu/)

$(STAGES): $(BUILT)
	@$(RUN) $@ $(if $(strip $(ARGS)),-- $(ARGS))

LAB = $(BIN)/python -m integration.lab

lab-shell lab-demo: $(BUILT)
	$(LAB) setup
	$(LAB) $(if $(filter lab-demo,$@),exec,shell) --wheel $(WHEEL) $(addprefix --release ,$(RELEASE)) \
		$(if $(filter lab-demo,$@),-- python3 -m integration.demo)

# What --help says is the source of both.
man: $(VENV)/installed
	$(BIN)/python -m docs.generate man build/man

bench: $(VENV)/installed
	$(BIN)/python bench/bench.py

dist: $(BUILT)
	@ls dist/xenvcpu-*

deb: $(BUILT)
	sh packaging/deb.sh dist/xenvcpu-*.tar.gz dist/debian
	@ls dist/debian/*.deb

clean:
	rm -rf $(VENV) dist build *.egg-info .pytest_cache .mypy_cache .ruff_cache .tox
