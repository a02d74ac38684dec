# The same scripts under short names; each also runs by itself and from any folder.
.PHONY: setup test test-all lint bench

setup:                  ## choose or build the environment and say what was chosen
	bash test/env.sh

test:                   ## lint and the tests that take seconds; make test ARGS="-k download"
	bash test/run_tests.sh $(ARGS)

test-all:               ## lint and all tests
	bash test/run_tests.sh --all $(ARGS)

lint:                   ## ruff (lint and format), and mypy where it is installed
	bash test/run_tests.sh --lint

bench:                  ## images/s beside the reference's schedule; make bench ARGS=--architecture=image
	bash -c '. test/env.sh && choose_python && exec "$$PYTHON" benchmarks/train_speed.py $(ARGS)'
