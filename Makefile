# SPDX-License-Identifier: MIT
# `make demo` and `make test` set up all that they need, in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find xenvcpu cbind -name '*.py' -o -name '*.h' -o -name '*.json') setup.cfg pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help demo test unit promises verdicts lint types lab lab-shell lab-demo fuzz bench man docs dist deb clean

help:
	@echo "make demo   start the vcpus of a model guest; no Xen, no root"
	@echo "make test   everything this machine can run, the emulated Xen host included"
	@echo "make unit   the fast tests against the installed wheel"
	@echo "make promises   a fault at every C call, a kill at every step"
	@echo "make verdicts   what real Xens said, given again by the model"
	@echo "make lint   ruff and mypy --strict"
	@echo "make lab    the suites on real Xens in QEMU; K=kills for some tests, RELEASE=4.20 for one Xen, FULL=1 for all counts"
	@echo "make lab-demo   the demo on a real Xen; make lab-shell   a shell in its dom0, xenvcpu installed"
	@echo "make fuzz   hostile bytes into every decoder, 5 minutes each"
	@echo "make bench  how fast, as ratios"
	@echo "make man    the manual, in build/man"
	@echo "make docs   the documentation as a site, in build/docs; runs every command that it shows"
	@echo "make dist   the sdist, and from it the wheel, in dist/"
	@echo "make deb    the Debian packages, in dist/debian/; needs what \`apt-get build-dep .\` installs"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: apt install python3-venv"; exit 5; }
	$(BIN)/pip install --quiet build

# The wheel is made from the sdist, not from the checkout.
define BUILD
rm -rf dist build *.egg-info
$(BIN)/python -m build --outdir dist . >$(VENV)/build.log 2>&1 || { cat $(VENV)/build.log; exit 1; }
endef

# The wheel, and not the checkout, is what everything below runs.
$(VENV)/installed: $(BIN)/python $(SOURCES)
	$(BUILD)
	$(BIN)/pip install --quiet --force-reinstall --no-deps dist/xenvcpu-*.whl
	$(BIN)/pip install --quiet "$$(ls dist/xenvcpu-*.whl)[dev]"
	touch $@

demo: $(VENV)/installed
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

test: $(VENV)/installed
	$(BIN)/python tests/everything.py

unit: $(VENV)/installed
	$(BIN)/pytest tests -q -rs $(addprefix --ignore=tests/,ansible_collection docs packages promises verdicts)

verdicts: $(VENV)/installed
	$(BIN)/pytest tests/verdicts -q -rs

promises: $(VENV)/installed
	$(BIN)/pytest tests/promises -q -rs

lint types: $(VENV)/installed
	$(BIN)/python tests/everything.py lint types

# K chooses tests as pytest's -k does, RELEASE the Xen (for `make lab` one or more, and without it several),
# FULL=1 as many kills, races and cycles as the README quotes, SMOKE=1 a few tests on the Xens that are left out
# otherwise, HOSTS how many hosts are emulated at once.
LAB := $(BIN)/python -m integration.lab
LAB_OF = --wheel dist/xenvcpu-*.whl $(addprefix --deb ,$(wildcard dist/debian/*.deb)) $(addprefix --release ,$(RELEASE))

lab: $(VENV)/installed
	$(LAB) setup
	$(BIN)/pip install --quiet "$$(ls dist/xenvcpu-*.whl)[ansible]"
	$(LAB) run $(LAB_OF) $(if $(K),-k "$(K)") $(if $(FULL),--full) $(if $(SMOKE),--smoke-others) $(if $(HOSTS),--hosts $(HOSTS))

lab-shell: $(VENV)/installed
	$(LAB) setup
	$(LAB) shell $(LAB_OF)

lab-demo: $(VENV)/installed
	$(LAB) setup
	$(LAB) exec $(LAB_OF) -- python3 -m integration.demo

fuzz: $(VENV)/installed
	$(BIN)/pip install --quiet "$$(ls dist/xenvcpu-*.whl)[fuzz]"
	$(BIN)/python tests/fuzz/fuzz.py --seconds 300

# What --help says is the source of both.
man: $(VENV)/installed
	$(BIN)/python -m docs.generate man build/man

docs: $(VENV)/installed
	$(BIN)/python tests/everything.py docs

bench: $(VENV)/installed
	$(BIN)/python bench/bench.py

dist: $(BIN)/python
	$(BUILD)
	@ls dist/xenvcpu-*

deb: dist
	sh packaging/deb.sh dist/xenvcpu-*.tar.gz dist/debian
	@ls dist/debian/*.deb

clean:
	rm -rf $(VENV) dist build *.egg-info .pytest_cache .mypy_cache .ruff_cache .tox
