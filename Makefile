# Every target sets up what it needs, works from a fresh clone and from any folder
# (`make -C path/to/checkout TARGET`), and does nothing twice.

PYTHON ?= python3
# By the shell, since make's own functions cut a path at its blanks.
ROOT := $(shell cd "$$(dirname "$$(echo "$(MAKEFILE_LIST)" | sed 's/^ *//')")" && pwd)
VENV := .venv/bin
MAKEFLAGS += --no-print-directory
export PATH := $(ROOT)/.tools/bin:$(PATH)
export PIPELINE_TOOLS := $(ROOT)/.tools

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo demo-github test sweep sweep-github workflows race ui bench keycloak docs golden format lint lock clean

help: ## lists the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1\t\2/p' "$(ROOT)/Makefile" | expand -t 18

setup: ## sets up what the product needs to run: .venv, tools, Kubernetes schemas
	@cd "$(ROOT)" && $(PYTHON) tools/setup.py runtime

setup-dev: ## sets up what the tests need besides
	@cd "$(ROOT)" && $(PYTHON) tools/setup.py dev

demo: setup ## runs the main job on real bare repositories in .demo/, and keeps them
	@cd "$(ROOT)" && $(VENV)/pipeline demo

demo-github: setup-dev ## tells the same story on a GitHub on 127.0.0.1, through PyGithub and git over HTTP
	@cd "$(ROOT)" && $(VENV)/python -m tests.support.github_demo

test: setup-dev ## formats, lint, types, import contract and all tests
	@"$(ROOT)/tools/test.sh"

sweep: setup-dev ## stops the whole story before and after every effect, and reruns it
	@cd "$(ROOT)" && $(VENV)/python -m pytest -q -s tests/faults/test_sweep.py -m sweep

sweep-github: setup-dev ## the same over GitHub, with a fault at every call of its API and of git
	@cd "$(ROOT)" && $(VENV)/python -m pytest -q -s tests/faults/test_github_sweep.py -m sweep

workflows: setup-dev ## runs each job of each workflow without each of its rights in turn
	@cd "$(ROOT)" && $(VENV)/python -m pytest -q -s tests/faults/test_workflow_rights.py -m workflows

race: setup-dev ## runs sixteen processes against one forge at once
	@cd "$(ROOT)" && $(VENV)/python -m pytest -q -s tests/faults/test_race.py -m race

ui: setup-dev ## builds the UI workspace and opens it in Chromium, with sign-in at a Keycloak
	@cd "$(ROOT)" && $(VENV)/python -m pytest -q -s tests/runtime/test_ui.py -m ui

image: ## builds the domain's image with buildah and with buildx on a Docker, and starts it
	@cd "$(ROOT)" && $(PYTHON) tools/setup.py image && $(VENV)/python -m pytest -q -n 2 \
	  --dist loadfile tests/contract/test_builders.py tests/runtime/test_image.py -m image

bench: ## measures speed and memory, against peers in the same run
	@cd "$(ROOT)" && $(PYTHON) tools/setup.py bench && $(VENV)/python -m bench

keycloak: ## runs a Keycloak with the platform's realm on 127.0.0.1:8180 until Ctrl-C
	@cd "$(ROOT)" && $(PYTHON) tools/keycloak.py start

docs: setup ## writes docs/, schemas/ and service_catalog/ anew from the code and the requests
	@cd "$(ROOT)" && $(VENV)/python -m pipeline.docs
	@cd "$(ROOT)" && $(VENV)/python tools/attacks_page.py
	@cd "$(ROOT)" && $(VENV)/pipeline catalog

golden: setup-dev ## writes what golden tests compare with anew, in tests/golden/cases/
	@cd "$(ROOT)" && rm -rf tests/golden/cases && mkdir tests/golden/cases && \
	  { $(VENV)/python -m pytest -q -n 2 tests/golden --snapshot-update >/dev/null || true; } && \
	  $(VENV)/python -m pytest -q -n 2 tests/golden

format: setup-dev ## formats the code and applies the linter's safe fixes
	@cd "$(ROOT)" && $(VENV)/ruff format && $(VENV)/ruff check --fix

lint: setup-dev ## `make test` without the tests
	@"$(ROOT)/tools/test.sh" --lint-only

lock: setup ## pins the newest packages that the inputs allow, by hash
	@"$(ROOT)/tools/lock.sh"

clean: ## removes all that these targets made, except committed files
	@cd "$(ROOT)" && rm -rf .venv .tools .demo .demo-github .mypy_cache .ruff_cache .pytest_cache \
	  .import_linter_cache .hypothesis bench/results build dist
	@cd "$(ROOT)" && find . -name __pycache__ -type d -prune -exec rm -rf {} +
