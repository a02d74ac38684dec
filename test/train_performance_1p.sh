#!/usr/bin/env bash
# Trains for one epoch on one device and files the result: images/s, loss, duration.
network=DCGAN_ID0686_for_TensorFlow
epochs=1

. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
call=(--script="$(basename "$0")" --network="$network" --epochs="$epochs" --goal=perf --devices=one -- "$@")
check_call "${call[@]}"
choose_python
exec "$PYTHON" "$ROOT/launch" train --python="$PYTHON" "${call[@]}"
