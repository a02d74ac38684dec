#!/usr/bin/env bash
# The interpreter that every script of the project uses. `bash test/env.sh` sets it up and says what
# was chosen; a script sources this file and calls choose_python, which sets PYTHON.
#
# The first that imports TensorFlow is taken: $DCGAN_PYTHON, ./.venv, then python3.7, python3 and
# python on PATH. Where there is none, .venv is built from requirements.txt. Nothing is ever
# installed into any other interpreter. Variables, all optional:
#   DCGAN_PYTHON       the interpreter to use as it is; an error if it cannot import TensorFlow
#   DCGAN_VENV         the environment to use, or to build, instead of .venv and those on PATH
#   DCGAN_BASE_PYTHON  the interpreter to build the environment from

unset CDPATH                                    # an exported one makes cd print, or go elsewhere
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="${DCGAN_VENV:-.venv}"
[[ $VENV == /* ]] || VENV="$ROOT/$VENV"

NEWER_PYTHONS="3.13 3.12 3.11 3.10 3.9 3.8"     # TensorFlow 2.x of requirements.txt; newest first
: "${HOME:=/}"
IMPORT_SECONDS=300                              # a cold network file system needs its time
RUN_MODULES="numpy PIL imageio matplotlib absl tqdm requests jinja2"      # what a training imports

# A message that cannot be shown ends no script.
say() ( trap '' PIPE; printf '%s\n' "$*" >&2 2>/dev/null || true )

# A user's mistake: one line, exit code 2.
refuse() { say "$*"; exit 2; }

# CANN's own variables, where CANN is installed and the shell does not have them yet. Sets CANN.
source_cann() {
    CANN=""
    [[ -n ${ASCEND_OPP_PATH:-} ]] || source_first "${ASCEND_TOOLKIT_HOME:-/nowhere}"{,/..}/set_env.sh \
        {/usr/local,"$HOME"}/Ascend/{ascend-toolkit,cann,nnae}/set_env.sh
    source_first {/usr/local,"$HOME"}/Ascend/tfplugin/set_env.sh
}

source_first() {
    local file
    for file in "$@"; do
        [[ -r $file ]] && { source_vendor "$file"; return; }
    done
}

# Sources another product's script. It may read unset variables, set shell options and print; our own
# scripts therefore do without `set -eu`.
source_vendor() {
    local file="$1"
    set --
    . "$file" >/dev/null
    set +eu
    CANN="$CANN${CANN:+, }$file"
}

limited() {
    if command -v timeout >/dev/null; then timeout "$IMPORT_SECONDS" "$@"; else "$@"; fi
}

# probe INTERPRETER: imports TensorFlow with it. Sets VERSIONS, or REASON where that fails.
probe() {
    local output
    output="$(cd "$ROOT" && TF_CPP_MIN_LOG_LEVEL=3 limited "$1" -W ignore -c \
        'import platform, tensorflow as tf
print("versions Python %s, TensorFlow %s" % (platform.python_version(), tf.__version__))' \
        2>&1 </dev/null)"
    VERSIONS="$(sed -n 's/^versions //p' <<<"$output")"
    REASON="$(tail -n 1 <<<"$output")"
    [[ -n $VERSIONS ]]
} 2>/dev/null

# missing_modules INTERPRETER MODULE...: prints the packages of those that it cannot find.
missing_modules() {
    local interpreter="$1"
    shift
    "$interpreter" -c '
import importlib.util, sys
packages = {"PIL": "pillow", "absl": "absl-py", "xdist": "pytest-xdist"}
print(*(packages.get(name, name) for name in sys.argv[1:] if not importlib.util.find_spec(name)))
' "$@" </dev/null
}

# require_modules MODULE...: for an interpreter that is not ours, says what to install into it.
require_modules() {
    local missing
    missing="$(missing_modules "$PYTHON" "$@")"
    [[ -z $missing ]] || refuse "Environment: $PYTHON ($VERSIONS) lacks ${missing// /, }:" \
        "$PYTHON -m pip install $missing"
}

# python_places VERSION: prints where an interpreter of that version may be, one a line.
python_places() {
    local folder
    type -aP "python$1" python3 python
    for folder in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*; do echo "$folder/bin/python"; done
    for folder in ${CONDA_PREFIX:+"$CONDA_PREFIX"} ${CONDA_EXE:+"${CONDA_EXE%/bin/conda}"} \
                  "$HOME"/{miniconda3,anaconda3,miniforge3,mambaforge} /opt/{conda,miniconda3}; do
        printf '%s\n' "$folder"/bin/python "$folder"/envs/*/bin/python
    done
    [[ -r $HOME/.conda/environments.txt ]] && sed 's|$|/bin/python|' "$HOME/.conda/environments.txt"
    command -v uv >/dev/null && uv python find "$1" 2>/dev/null
    return 0
}

# find_python VERSION: prints the first interpreter of that version that really runs and can make
# environments. A pyenv shim may exit 127; Debian packs the venv module on its own.
find_python() {
    local interpreter
    while IFS= read -r interpreter; do
        [[ -x $interpreter ]] && "$interpreter" -c 'import sys, ssl, venv, ensurepip
sys.exit("%d.%d" % sys.version_info[:2] != sys.argv[1])' "$1" </dev/null &>/dev/null &&
            { echo "$interpreter"; return 0; }
    done < <(python_places "$1")
    return 1
}

find_newest_python() {
    local version
    for version in $NEWER_PYTHONS; do
        find_python "$version" && return 0
    done
    return 1
}

# install REQUIREMENTS: into .venv, unless its stamp says that this file has been installed. The
# stamp comes last, so that an interrupted installation is gone through again.
install() {
    local name stamp log start="$SECONDS"
    installed "$1" && return 0
    name="$(basename "$1")"
    stamp="$VENV/$name.installed"
    log="$VENV/$name.log"
    say "  installing $name into $VENV (some minutes; details in $log) ..."
    pip_install --upgrade pip >"$log" 2>&1      # where that fails, the old one may still do
    if ! pip_install -r "$1" >>"$log" 2>&1; then
        say "  that failed:"
        grep -i '^error' "$log" | tail -n 3 | sed 's/^/    /' >&2
        return 1
    fi
    cksum <"$1" >"$stamp.new" && mv "$stamp.new" "$stamp"
    say "  installed in $((SECONDS - start)) s"
}

installed() {
    [[ "$(cat "$VENV/$(basename "$1").installed" 2>/dev/null)" == "$(cksum <"$1")" ]]
}

pip_install() {
    PIP_USER=0 "$VENV/bin/python" -m pip install --disable-pip-version-check "$@" </dev/null
}

# make_venv BASE: an environment of BASE's version, kept as it is where there is one.
make_venv() {
    local output
    if [[ -e $VENV && ! -e $VENV/pyvenv.cfg && -n "$(ls -A "$VENV")" ]]; then
        refuse "$VENV: is there and is not a Python environment; move it away or set DCGAN_VENV"
    fi
    same_version "$1" "$VENV/bin/python" && "$VENV/bin/python" -m pip -V &>/dev/null && return 0
    say "  making $VENV from $1 ..."
    output="$("$1" -m venv --clear "$VENV" 2>&1 </dev/null)" ||
        { say "  that failed: $(tail -n 1 <<<"$output")"; return 1; }
}

same_version() {
    local version='import sys; print(sys.version_info[:2])'
    [[ -x $2 && "$("$1" -c "$version" 2>/dev/null)" == "$("$2" -c "$version" 2>/dev/null)" ]]
}

# Runs a function while no other process builds or updates the same environment.
alone() (
    mkdir -p "$(dirname "$VENV")"
    command -v flock >/dev/null && exec 8>"$VENV.lock" && flock 8
    "$@"
)

# Builds .venv, or completes a half-built one, from the first base that works.
build_venv() {
    local base bases=("${DCGAN_BASE_PYTHON:-}")
    [[ -n ${DCGAN_BASE_PYTHON:-} ]] || mapfile -t bases < <(find_python 3.7; find_newest_python)
    if [[ ${#bases[@]} -eq 0 ]]; then
        say "No interpreter imports TensorFlow, and no Python 3.7 to 3.13 was found that can build" \
            "an environment (with the module venv; Debian and Ubuntu pack it as python3-venv)." \
            "Install one, or name one in DCGAN_PYTHON or DCGAN_BASE_PYTHON."
        return 1
    fi
    say "No interpreter with TensorFlow: building $VENV"
    for base in "${bases[@]}"; do
        make_venv "$base" && install "$ROOT/requirements.txt" && probe "$VENV/bin/python" && return
    done
    say "$VENV: could not be built from ${bases[*]}: see above. Without a network, name an" \
        "interpreter that imports TensorFlow in DCGAN_PYTHON."
    return 1
}

# The first of python3.7, python3 and python on PATH that imports TensorFlow. Sets PYTHON.
find_on_path() {
    local candidates
    mapfile -t candidates < <(type -aP python3.7 python3 python)
    for PYTHON in "${candidates[@]}"; do
        probe "$PYTHON" && return 0
    done
    return 1
}

# The interpreter that DCGAN_PYTHON names, which may be a path or a name on PATH. Sets PYTHON.
use_named() {
    PYTHON="$(type -P "$DCGAN_PYTHON")" || refuse "DCGAN_PYTHON=$DCGAN_PYTHON: no such program"
    [[ $PYTHON == /* ]] || PYTHON="$PWD/$PYTHON"
    probe "$PYTHON" || refuse "DCGAN_PYTHON=$DCGAN_PYTHON: cannot import TensorFlow:" \
        "${REASON:-no answer within $IMPORT_SECONDS s}"
}

# .venv, brought up to date where requirements.txt has changed. Sets PYTHON.
use_own() {
    PYTHON="$VENV/bin/python"
    OURS=true
    if ! installed "$ROOT/requirements.txt"; then
        alone install "$ROOT/requirements.txt" || say "  going on with what is there"
    fi
    probe "$PYTHON" || refuse "$PYTHON: cannot import TensorFlow any more: $REASON;" \
        "remove $VENV to have it built anew"
}

# Sets PYTHON (absolute), VERSIONS and OURS (true where it is .venv), and says why it was chosen.
choose_python() {
    local why="the project's own environment"
    OURS=false
    source_cann
    if [[ -n ${DCGAN_PYTHON:-} ]]; then
        use_named
        why="named by DCGAN_PYTHON"
    elif [[ -x $VENV/bin/python ]] && probe "$VENV/bin/python"; then
        use_own
    elif [[ -z ${DCGAN_VENV:-}${DCGAN_BASE_PYTHON:-} ]] && find_on_path; then
        why="the first on PATH that imports TensorFlow, used as it is"
    else
        alone build_venv || exit
        use_own
    fi
    require_modules $RUN_MODULES
    say "Environment: $PYTHON ($VERSIONS): $why${CANN:+; CANN by $CANN}"
}

# any_python: prints the first interpreter that runs the standard library alone, TensorFlow or not.
any_python() {
    local name
    for name in "${DCGAN_PYTHON:-}" "$VENV/bin/python" "${DCGAN_BASE_PYTHON:-}" python3.7 python3 python; do
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 7))' </dev/null &>/dev/null &&
            { type -P "$name"; return; }
    done
    find_python 3.7 || find_newest_python
}

# check_call WORD...: has a launch script's options checked by any Python there is, since choosing the
# right one may take minutes. Ends the script where they are refused, and after --help.
check_call() {
    local python word
    python="$(any_python)" || return 0          # choose_python says what is missing
    "$python" "$ROOT/launch" check "$@" || exit
    for word in "$@"; do
        [[ $word != -h && $word != --help ]] || exit 0
    done
}

# takes_no_words WORD...: of a script without options: --help shows the head of its file.
takes_no_words() {
    case "${1:-}" in
        "") ;;
        -h|--help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) refuse "$1: $(basename "$0") takes no options (see --help)" ;;
    esac
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    takes_no_words "$@"
    choose_python
fi
