#!/usr/bin/env bash
# Trains for 25 epochs on one device and files the result: loss, images/s, duration.
network=DCGAN_ID0686_for_TensorFlow
epochs=25

. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
call=(--script="$(basename "$0")" --network="$network" --epochs="$epochs" --goal=acc --devices=one -- "$@")
check_call "${call[@]}"
choose_python
exec "$PYTHON" "$ROOT/launch" train --python="$PYTHON" "${call[@]}"
