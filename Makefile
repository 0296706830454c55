# Needs Python 3.11 or later, pip, make and git; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
# Two processes more than there are cores, because a fourth of the time of a test is waiting. With ARGS=-n0 the tests run
# in one process, as a debugger needs it.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal
# Errors only: where pip asks several indexes, it warns of each package that one of them lacks.
PIP_QUIET := -qq --disable-pip-version-check
CHECK_PYTHON := $(PYTHON) -c 'import sys; \
  sys.exit(sys.version_info < (3, 11) and "This needs Python 3.11 or later; set PYTHON=/path/to/python3.11")'
# Tests start many processes: each would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-fast coverage lint fmt setup schema screenshots vendor lock install clean bench

help:  ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

demo: setup  ## Start the daemon with its sandboxes and play a donor's story; KEEP=1 leaves it running.
	@$(BIN)/connector demo $(if $(KEEP),--keep)

test: setup  ## Run every test; ARGS="tests/flow -n0" is given to pytest.
	@$(PYTEST) $(ARGS)

test-fast: setup  ## Run the tests that need no daemon, no sandbox and no process of their own.
	@$(PYTEST) -m "not slow" $(ARGS)

# Each of these folders is pure and has a floor of its own; that of all is in pyproject.toml.
coverage: setup  ## Run the fast tests, and fail if they cover less of the lines and branches than they must.
	@$(PYTEST) -m "not slow" --cov --cov-report= $(ARGS)
	@for one in consent mapping delivery; do \
	  if total=$$($(BIN)/coverage report --include="connector/$$one/*" --fail-under=95 --format=total); \
	  then echo "$$one: $$total % of lines and branches"; \
	  else echo "$$one: $$total % of lines and branches, and 95 are needed"; exit 1; fi; done

lint: setup  ## ruff, and mypy --strict on connector/.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

fmt: setup  ## Format the code and sort its imports.
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

setup: .venv/.ready  ## Install into .venv.

# The stamp makes a second call instant; a changed lock file or pyproject.toml installs again.
.venv/.ready: requirements.txt pyproject.toml
	@$(CHECK_PYTHON)
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
	  echo "Python's venv module is missing: on Debian and Ubuntu, apt-get install python3-venv"; exit 1; }
	@echo "Installing into .venv (once; about a minute) ..."
	@$(BIN)/python -m pip install $(PIP_QUIET) --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install $(PIP_QUIET) --no-deps --no-build-isolation -e .
	@touch $@

bench: setup  ## Print the figures of benchmarks/README.md; about eight minutes on a quiet machine.
	@for one in plan calls claims deliver ingest; do echo "== $$one"; $(BIN)/python benchmarks/$$one.py || exit 1; done

schema: setup  ## Write the JSON Schemas of the config and the mappings anew.
	@$(BIN)/connector schema write

screenshots: setup  ## Take the pictures of the console for README and docs (needs Chromium).
	@$(BIN)/python tests/console/screenshots.py

# The hashes of vendor.json decide: a package that was changed at the registry is refused. It needs npm.
vendor: setup  ## Fetch the console's third-party files again, as vendor.json names them.
	@$(BIN)/python tests/console/fetch_vendored.py

COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-annotate --no-header

lock: setup  ## Pin all requirements anew, within the ranges of pyproject.toml.
	@$(COMPILE) --upgrade --extra dev -o requirements.txt pyproject.toml
	@$(COMPILE) -c requirements.txt -o requirements-run.txt pyproject.toml

# For a server: the program without development tools, its unit, its user, and `connector` on the path. Run it as root.
# The service's user reads all of it, also where root has a strict umask.
PREFIX ?= /opt/connector
DESTDIR ?=
install:  ## Install the program, the unit and the user on this machine (as root).
	@$(CHECK_PYTHON)
	@echo "Installing into $(DESTDIR)$(PREFIX) (about a minute) ..."
	@umask 022; $(PYTHON) -m venv $(DESTDIR)$(PREFIX) || { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@umask 022; $(DESTDIR)$(PREFIX)/bin/pip install $(PIP_QUIET) --require-hashes -r requirements-run.txt
	@umask 022; $(DESTDIR)$(PREFIX)/bin/pip install $(PIP_QUIET) --no-deps .
	@install -d $(DESTDIR)/usr/local/bin $(DESTDIR)/etc/systemd/system $(DESTDIR)/usr/lib/sysusers.d \
	  $(DESTDIR)/etc/bash_completion.d $(DESTDIR)/usr/local/share/man/man1
	@ln -sf $(PREFIX)/bin/connector $(DESTDIR)/usr/local/bin/connector
	@install -m 644 systemd/connector.service $(DESTDIR)/etc/systemd/system/connector.service
	@install -m 644 systemd/connector.sysusers $(DESTDIR)/usr/lib/sysusers.d/connector.conf
	@umask 022; $(DESTDIR)$(PREFIX)/bin/connector completion bash > $(DESTDIR)/etc/bash_completion.d/connector
	@umask 022; $(DESTDIR)$(PREFIX)/bin/connector manual > $(DESTDIR)/usr/local/share/man/man1/connector.1
	@test -n "$(DESTDIR)" || { systemd-sysusers connector.conf && install -d -o connector -g connector -m 700 /var/lib/connector; }
	@echo "Installed. Next: connector init"

clean:  ## Remove .venv and what the demo left.
	rm -rf .venv .demo
