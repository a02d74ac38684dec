#!/usr/bin/env bash
# Trains for one epoch on several devices (8, or --np=N) and files the result: images/s, loss, duration.
. "$(dirname "${BASH_SOURCE[0]}")/ranks.sh"
launch_ranks perf 1 "$@"
