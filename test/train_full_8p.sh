#!/usr/bin/env bash
# Trains for 25 epochs on several devices (8, or --np=N) and files the result: loss, images/s, duration.
. "$(dirname "${BASH_SOURCE[0]}")/ranks.sh"
launch_ranks acc 25 "$@"
