#!/usr/bin/env bash
# Environment, lint, tests.
usage() {
    cat <<'TEXT'
usage: bash test/run_tests.sh [--all] [PYTEST-ARGUMENT...]

Chooses or builds the environment (test/env.sh), runs ruff (lint and format), mypy where it is
installed, and then the tests, one process a core. Exit code 0 only where all of them are clean.

  --all           the slow tests and the marathons too
  --lint          ruff and mypy alone
  -h, --help      this text
Whatever else is given goes to pytest, for example: bash test/run_tests.sh -k download -x
One process, for a debugger or a print: bash test/run_tests.sh -n 0 -s -k download
TEXT
}

. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

tests=true result=0 chosen=(-m "not slow and not marathon")
while [[ $# -gt 0 ]]; do
    case "$1" in
        --all) chosen=() ;;
        --lint) tests=false ;;
        -h|--help) usage; exit 0 ;;
        *) break ;;
    esac
    shift
done

# check NAME ARGUMENT...: runs a module of the interpreter; a failure is kept in `result`.
check() {
    "$PYTHON" -m "$@" || { say "$1: see the lines above"; result=1; }
}

choose_python
if [[ $OURS == true ]]; then
    alone install "$ROOT/requirements-dev.txt" || exit 1
fi
require_modules pytest xdist hypothesis ruff
cd "$ROOT" || exit 1

check ruff check .
check ruff format --check .
[[ -n "$(missing_modules "$PYTHON" mypy)" ]] || check mypy
if [[ $tests == true ]]; then
    check pytest -n "$(getconf _NPROCESSORS_ONLN)" --dist worksteal "${chosen[@]}" "$@"
fi
exit "$result"
