#!/usr/bin/env bash
# Trains for 25 epochs on one device and files the result: loss, images/s, duration.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
launch acc 25 "$@"
