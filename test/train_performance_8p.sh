#!/usr/bin/env bash
# Trains for one epoch on several devices (8, or --np=N) and files the result: images/s, loss, duration.
network=DCGAN_ID0686_for_TensorFlow
epochs=1

. "$(dirname "${BASH_SOURCE[0]}")/horovod.sh"
call=(--script="$(basename "$0")" --network="$network" --epochs="$epochs" --goal=perf --devices=several -- "$@")
check_call "${call[@]}"
choose_python
[[ -z "$(missing_modules "$PYTHON" npu_bridge)" ]] || need_horovod
exec "$PYTHON" "$ROOT/launch" train --python="$PYTHON" "${call[@]}"
