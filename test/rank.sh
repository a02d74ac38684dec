#!/usr/bin/env bash
# One process of several: `bash test/rank.sh FOLDER BIND_CORE COMMAND...`, started by ranks.sh or by
# horovodrun. Its output goes to FOLDER/RANK/train_RANK.log; rank 0's standard error to RANK_0_ERRORS.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

export RANK_ID="${HOROVOD_RANK:-$RANK_ID}" ASCEND_DEVICE_ID="${HOROVOD_RANK:-$RANK_ID}"
log="$1/$RANK_ID/train_$RANK_ID.log"
BIND_CORE="$2"
set_binding 2>>"$log"
errors="$log" bar=off
if [[ $RANK_ID == 0 && $RANK_0_ERRORS != "$log" ]]; then
    errors="$RANK_0_ERRORS" bar=on
fi
exec "${BINDING[@]}" "${@:3}" --progress="$bar" </dev/null >>"$log" 2>>"$errors"
