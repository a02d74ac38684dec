#!/usr/bin/env bash
# Trains for one epoch on one device and files the result: images/s, loss, duration.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
launch perf 1 "$@"
