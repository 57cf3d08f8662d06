# `make demo` and `make test` do all the set-up they need; see scripts/setup.sh.
.DEFAULT_GOAL := help
.PHONY: help setup demo test bench soak cluster cluster-down policy clean clean-hosts

help:
	@echo "make demo         set up, start the sandbox, deploy the app to it"
	@echo "make test         set up, then lint, type-check and run all tests"
	@echo "make bench        measure deploys beside plain ssh, Ansible and pyinfra, and write docs/performance.md"
	@echo "make soak         kill deploys at every point for half an hour (SECONDS=...)"
	@echo "make cluster      bring up Kubernetes for its tests (the first time about 20 minutes); cluster-down ends it"
	@echo "make policy       ask a policy linter about the manifests for Kubernetes (needs make cluster once)"
	@echo "make clean-hosts  remove all containers of this checkout"
	@echo "make clean        remove those, the virtual environment and all caches of this checkout"

setup:
	@sh scripts/setup.sh --hosts

demo: setup
	@.venv/bin/invoke sandbox.up
	@.venv/bin/invoke deploy
	@.venv/bin/python -m carboy.sandbox next

test:
	@sh scripts/setup.sh --tests
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@CARBOY_REQUIRE_HOSTS=1 .venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

bench: setup
	@.venv/bin/python -m benchmarks

soak: setup
	@.venv/bin/python -m tests.soak $(SECONDS)

cluster: setup
	@.venv/bin/python -m tests.support.cluster up

cluster-down:
	@.venv/bin/python -m tests.support.cluster down

policy: setup
	@.venv/bin/python -m pytest -p no:xdist tests/kubernetes/test_kubernetes_policy.py

clean-hosts:
	@if [ -x .venv/bin/python ]; then .venv/bin/python -m carboy.sandbox clean; fi

clean: clean-hosts
	@rm -rf .venv .carboy .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
