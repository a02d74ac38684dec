#!/usr/bin/env bash
# Horovod for the interpreter that the scripts use. `bash test/horovod.sh` builds it into .venv, once; a
# script sources this file and calls need_horovod. Needs a C++ compiler.

. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

# Builds Horovod into our own environment where it is missing; says what to do for another one.
need_horovod() {
    local pin compiler
    [[ -n "$(missing_modules "$PYTHON" horovod)" ]] || return 0
    pin="$("$PYTHON" -c 'import sys; print(sys.version_info < (3, 8))')"
    [[ $pin == True ]] || refuse "Horovod: builds against TensorFlow 1.15 on Python 3.7, not against" \
        "$PYTHON ($VERSIONS); see requirements-dist.txt"
    [[ $OURS == true ]] || refuse "Horovod: missing from $PYTHON; requirements-dist.txt says how it is built"
    for compiler in "${CXX:-g++}" "${CC:-gcc}"; do
        command -v "$compiler" >/dev/null || refuse "Horovod: $compiler is missing, which builds it" \
            "(Debian and Ubuntu: apt-get install g++)"
    done
    alone build_horovod || refuse "Horovod: could not be built into $VENV: see above"
}

build_horovod() {
    local log="$VENV/requirements-dist.txt.log" start="$SECONDS" anew
    say "  building Horovod in $VENV (2 to 5 minutes; details in $log) ..."
    command -v cmake >/dev/null ||
        pip_install "$(sed -n 's/^\(cmake==[^ ;]*\).*/\1/p' "$ROOT/requirements-dist.txt")" >"$log" 2>&1
    # pip may have kept one that was built for another TensorFlow.
    for anew in "" "--no-cache-dir --force-reinstall --no-deps"; do
        PATH="$VENV/bin:$PATH" HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITH_TENSORFLOW=1 \
            HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 \
            pip_install $anew --no-build-isolation -r "$ROOT/requirements-dist.txt" >>"$log" 2>&1 || break
        "$VENV/bin/python" -c 'import horovod.tensorflow' >>"$log" 2>&1 </dev/null || continue
        say "  in place after $((SECONDS - start)) s"
        return 0
    done
    grep -i 'error' "$log" | tail -n 3 | sed 's/^/    /' >&2
    return 1
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    takes_no_words "$@"
    choose_python
    need_horovod
    say "Horovod: in place for $PYTHON"
fi
