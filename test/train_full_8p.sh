#!/usr/bin/env bash
# Trains for 25 epochs on several devices (8, or --np=N) and files the result: loss, images/s, duration.
network=DCGAN_ID0686_for_TensorFlow
epochs=25

. "$(dirname "${BASH_SOURCE[0]}")/horovod.sh"
call=(--script="$(basename "$0")" --network="$network" --epochs="$epochs" --goal=acc --devices=several -- "$@")
check_call "${call[@]}"
choose_python
[[ -z "$(missing_modules "$PYTHON" npu_bridge)" ]] || need_horovod
exec "$PYTHON" "$ROOT/launch" train --python="$PYTHON" "${call[@]}"
