# serve: run the gateway.   test, check, bench: what they say.   setup: a virtual environment with all they need.
# sbom: write what the core install is made of (CycloneDX) to build/.
# lock: look up the newest versions that fit and write them, with their hashes, to requirements/.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := $(BIN)/python -m uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --overrides requirements/overrides.txt

.PHONY: setup serve test check bench sbom lock
.DEFAULT_GOAL := setup

# Compiled ahead, so that it starts fast also where Python may not write bytecode as it goes.
setup: $(READY)
	-@$(BIN)/python -m compileall -q src

# The locks are complete, so nothing is resolved here: what is not in them, with its hash, is not installed.
$(READY): requirements/dev.lock pyproject.toml scripts/venv.sh
	sh scripts/venv.sh $(VENV)
	$(PIP) install --require-hashes --no-deps -r requirements/dev.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

serve: setup
	$(BIN)/dragoman serve $(ARGS)

test: setup
	@sh scripts/packages.sh postgresql redis-server chromium pocketsphinx-testdata || true
	$(BIN)/pytest -n 2 $(ARGS)

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m bench $(ARGS)

sbom: setup
	$(BIN)/python scripts/sbom.py

lock: setup
	$(PIP) install uv
	$(LOCK) pyproject.toml --output-file requirements/core.lock
	$(LOCK) pyproject.toml requirements/build.in --extra local --extra voice --extra webrtc --extra train --extra postgres --extra otel --extra dev \
		--constraints requirements/core.lock --output-file requirements/dev.lock
