#!/usr/bin/env bash
# Environment, lint, tests.
usage() {
    cat <<'TEXT'
usage: bash test/run_tests.sh [--all] [PYTEST-ARGUMENT...]

Chooses or builds the environment (test/env.sh), runs flake8 and then the tests. Exit code 0 only
where both are clean.

  --all           the slow tests too; without it only those that take seconds
  --lint          flake8 alone
  -h, --help      this text
Whatever else is given goes to pytest, for example: bash test/run_tests.sh -k download -x
TEXT
}

. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

lint=true tests=true chosen=(-m "not slow")
while [[ $# -gt 0 ]]; do
    case "$1" in
        --all) chosen=() ;;
        --lint) tests=false ;;
        -h|--help) usage; exit 0 ;;
        *) break ;;
    esac
    shift
done

choose_python
if [[ $OURS == true ]]; then
    alone install "$ROOT/requirements-dev.txt" || exit 1
fi
require_modules pytest flake8
cd "$ROOT" || exit 1

"$PYTHON" -m flake8 . || { say "flake8: see the lines above"; lint=false; }
if [[ $tests == true ]]; then
    "$PYTHON" -m pytest "${chosen[@]}" "$@" || tests=failed
fi
[[ $lint == true && $tests != failed ]]
