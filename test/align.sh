#!/usr/bin/env bash
# Trains the same steps with two settings (devices, precision, TensorFlow) and compares the runs step
# by step and layer by layer. --help says more.

. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
choose_python
exec "$PYTHON" "$ROOT/launch" align --python="$PYTHON" "$@"
