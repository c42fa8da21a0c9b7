# photoshoot: `make` lists what it can do.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV   := .venv
BIN    := $(VENV)/bin
# Arguments for `photoshoot run`, e.g. make run ARGS="--photos ~/photos --preset smoke"
ARGS   ?=
# Arguments for pip, e.g. the index of a CPU or CUDA build of torch.
PIP_ARGS ?=

.PHONY: help setup run test long endurance lint bench bench-train bench-docs images containers push weights starter wardrobe docs house reference lock gpu studio clean

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(VENV)/.ready  ## Make .venv with the command `photoshoot` in it (once; a few minutes)

# torch first: a later package must find it there, or it would pull a build with gigabytes of CUDA libraries.
$(VENV)/.ready: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found -- install Python 3.11, or name another with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(PIP_ARGS) --constraint constraints.txt torch
	$(BIN)/pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: setup  ## Photos to a registered model, in one command (synthetic people; ARGS="--photos DIR" for yours)
	$(BIN)/photoshoot run $(ARGS)

studio: setup  ## The page: drop photos, click, eight pictures (ARGS="--no-open", ARGS="--port 8081")
	@$(BIN)/photoshoot studio --open $(ARGS)

test: setup  ## All tests (under ten minutes on two cores)
	$(BIN)/python -m pytest -n 2 --dist worksteal tests

long: setup  ## The tests that take longer: kills, moved homes, second runs of the pipeline (five minutes)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m long tests

endurance: setup  ## The tests that take minutes: kills at random moments, fuzzing, hundreds of shoots
	$(BIN)/python -m pytest -n 2 --dist worksteal -m endurance tests

lint: setup  ## ruff, mypy, import-linter, hadolint
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint images/Dockerfile

bench: setup  ## Speed of each step, as ratios to a floor measured in the same run
	$(BIN)/python -m pipelines.bench.steps

bench-train: setup  ## Speed of training, as shares of this machine's own peaks (docs/benchmarks/training.md)
	$(BIN)/python -m pipelines.bench.training --write

# No setup: on a borrowed machine without network the torch that is there is used. people: build/gpu-people.tar.
gpu:  ## What a GPU does with it, in eight minutes (ARGS="--pack build/gpu-people.tar": people to take along)
	$(if $(wildcard $(VENV)/.ready),$(BIN)/python,$(PYTHON)) -m pipelines.bench.gpu $(ARGS)

bench-docs: setup  ## Write docs/benchmarks/data.md and start.md anew
	$(BIN)/python -m pipelines.bench.steps --write docs/benchmarks

images: setup  ## Build the images (BASE_IMAGE=..., CPU=1, BUILD_ARGS="NAME=VALUE ...")
	$(BIN)/python -m pipelines.containers.build $(if $(BASE_IMAGE),--base-image $(BASE_IMAGE)) $(if $(CPU),--cpu) \
	  $(if $(PIP_ARGS),--pip-args="$(PIP_ARGS)") $(foreach argument,$(BUILD_ARGS),--arg $(argument))

containers: setup  ## The images, the pipeline and its faults in containers, as CI runs them (Debian, root)
	.ci/containers

push: setup  ## Push the images and keep their digests (REGISTRY=host/path)
	$(BIN)/python -m pipelines.containers.build --push $(REGISTRY)

# Three populations that share nobody: one for the networks in the losses, one for those that judge, one to measure on.
weights: setup  ## Train the small networks that ship with the package (about an hour)
	@set -e; for population in faces:100000:600:6:.15 judge:200000:600:6:.15 finder:400000:240:3:0 \
	    held-out:300000:120:6:.15; do \
	  IFS=: read -r name first people photos backs <<< "$$population"; \
	  $(BIN)/photoshoot synthesize --out build/weights/$$name --set synthesize.first_person=$$first \
	    --set synthesize.people=$$people --set synthesize.photos_per_person=$$photos --set synthesize.height=192 \
	    --set synthesize.back_views=$$backs; done
	$(BIN)/python -m pipelines.pretraining --faces build/weights/faces --judge build/weights/judge \
	  --finder build/weights/finder --held-out build/weights/held-out --out components/core/data \
	  --face-steps 800 --judge-steps 800 --perceptual-steps 400 --feature-steps 400

starter: setup  ## Make the starter model that ships, from a default run (ARGS="--home DIR": from a run that is there)
	$(BIN)/python -m pipelines.pretraining.starter $(ARGS)

wardrobe: setup  ## Draw the wardrobe that ships, for `photoshoot shoot --clothes random`
	$(BIN)/python -m pipelines.pretraining.wardrobe

docs: setup  ## Make the pictures of the README again (a whole `make run`)
	$(BIN)/python -m pipelines.experiments.readme

house: setup  ## Draw docs/architecture.svg again, from the import graph
	$(BIN)/python -m pipelines.experiments.house

reference: setup  ## Write docs/reference/ again, from the docstrings
	$(BIN)/python -m pipelines.experiments.reference

lock: setup  ## Write constraints.txt from .venv, and from it the lists with hashes of the images
	@{ echo '# The set-up that is tested, every package pinned. `make lock` writes it anew from .venv.'; \
	  $(BIN)/pip freeze --exclude-editable | grep -v ' @ ' | sed 's/+cpu//'; } > constraints.txt.new && mv constraints.txt.new constraints.txt
	$(BIN)/python -m pipelines.containers.requirements

.PHONY: licences audit sbom
licences: setup  ## List the licences of all dependencies, and check them against those allowed (pyproject.toml)
	$(BIN)/python -m pipelines.containers.licences

audit: setup  ## Look for known vulnerabilities in what the images install (asks PyPI)
	@status=0; for list in requirements/*.txt; do echo "$$list"; \
	  $(BIN)/uv tool run pip-audit@2.10.1 --disable-pip --require-hashes --progress-spinner off --requirement $$list || status=1; \
	done; exit $$status

sbom: setup  ## Write the bill of materials of each image that is built (build/sbom, CycloneDX)
	$(BIN)/python -m pipelines.containers.sbom

clean:  ## Remove .venv and .photoshoot
	rm -rf $(VENV) .photoshoot
