# What the launch scripts for several devices add to common.sh: one process a device, each with an
# output folder of its own; rank 0's holds the run and the result. On NPUs this script starts the
# processes, elsewhere horovodrun does.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$(dirname "${BASH_SOURCE[0]}")/horovod.sh"

OWN_OPTIONS+=" np rank_table"
WHERE="several devices"
MORE_USAGE="
  --np=N                   devices of this machine; 8 unless given
  --rank_table=FILE        Ascend: the devices' addresses (template: configs/rank_table_8p.json);
                           by default \$RANK_TABLE_FILE. Elsewhere horovodrun starts the processes"
SECONDS_TO_END=15       # what the other processes have once one has failed

# launch_ranks GOAL EPOCHS OPTION...: trains on --np devices; GOAL (acc or perf) ends the CaseName.
launch_ranks() {
    local device start=start_horovod wait=wait_for_horovod
    if listed --help "${@:3}" || listed -h "${@:3}"; then usage "$@"; exit 0; fi
    NP=8
    parse_options "${@:3}"
    [[ $NP =~ ^[1-9][0-9]{0,2}$ ]] || refuse "--np=$NP: must be a whole number from 1 to 999"
    find_data "$DATA_PATH"
    choose_python
    export RANK_SIZE="$NP"
    if [[ -z "$(missing_modules "$PYTHON" npu_bridge)" ]]; then
        need_rank_table
        start=start_npus wait=wait_for_npus
    else
        [[ -z ${RANK_TABLE_FILE:-} ]] || say "--rank_table: without npu_bridge it has no effect"
        need_horovod
    fi
    heed_signals
    for ((device = NP - 1; device >= 0; device--)); do open_output "$device"; done
    train "$1" "$2" "$start" "$wait"
}

# Checks the rank table before a process would abort or wait for ever.
need_rank_table() {
    [[ -n ${RANK_TABLE_FILE:-} ]] || refuse "--rank_table: must name the devices' addresses" \
        "(template: configs/rank_table_8p.json)"
    [[ $RANK_TABLE_FILE == /* ]] || RANK_TABLE_FILE="$PWD/$RANK_TABLE_FILE"
    export RANK_TABLE_FILE JOB_ID="${JOB_ID:-10086}"
    "$PYTHON" - "$ROOT" "$RANK_TABLE_FILE" "$NP" <<'PYTHON' || exit 2
import sys
root, path, size = sys.argv[1:]
sys.path.insert(0, root)
from config import UserError
from devices import rank_table
try:
    rank_table.check(path, size=int(size))
except UserError as error:
    sys.exit(str(error))
PYTHON
}

# What both kinds of start share: where rank 0's standard error goes. Sets RANK (the words before COMMAND).
prepare_ranks() {
    open_errors
    export RANK_0_ERRORS="$ERRORS"
    RANK=(bash "$ROOT/test/rank.sh" "$ROOT/test/output" "$BIND_CORE")
    set -m
    [[ $BAR == off ]] || show_errors <"$ERRORS" &
    DISPLAY_OF_ERRORS=$!
}

# Starts a process a device, and sets TRAINING, their ids in the order of the ranks.
start_npus() {
    local rank
    prepare_ranks
    for ((rank = 0; rank < NP; rank++)); do
        RANK_ID="$rank" "${RANK[@]}" "${COMMAND[@]}" &
        TRAINING+=" $!"
    done
    set +m
    [[ -z $STOP ]] || kill -s "$STOP" $TRAINING
}

# Waits for all; where one fails the others are ended. Returns the exit code of the first that failed.
wait_for_npus() {
    local code=0 rank status running ended
    local -a processes=($TRAINING)
    while :; do
        running=""
        for rank in "${!processes[@]}"; do
            if kill -0 "${processes[rank]}" 2>/dev/null; then running+=" ${processes[rank]}"; continue; fi
            wait "${processes[rank]}"
            status=$?
            unset "processes[rank]"
            [[ $status -eq 0 || $code -ne 0 ]] || { code="$status" FAILED="$rank"; ended="$SECONDS"; }
        done
        [[ -n $running ]] || break
        TRAINING="$running"
        if [[ $code -ne 0 && $code -ne 130 && $code -ne 143 ]]; then
            [[ $((SECONDS - ended)) -lt $SECONDS_TO_END ]] && kill $running || kill -KILL $running
        fi 2>/dev/null
        sleep 0.2
    done
    end_display
    return "$code"
}

start_horovod() {
    prepare_ranks
    LAUNCHER=("$PYTHON" -m horovod.runner.launch -np "$NP" --gloo)
    # The display of errors ends with the last that could write to it.
    "${LAUNCHER[@]}" "${RANK[@]}" "${COMMAND[@]}" \
        </dev/null >"$OUT/horovodrun.log" 2>&1 9>>"$ERRORS" &
    TRAINING=$!
    set +m
    [[ -z $STOP ]] || kill -s "$STOP" "$TRAINING"
}

# Waits for horovodrun, which ends the others where one fails. Returns the exit code of the first.
wait_for_horovod() {
    local code=0 first
    wait_for_training || code=$?
    [[ $code -ne 0 ]] || return 0
    first="$(sed -n 's/^Process \([0-9]*\) exit with status code \([0-9]*\)\.$/\1 \2/p' "$OUT/horovodrun.log" |
        head -n 1)"
    [[ -n $first ]] || { cat "$OUT/horovodrun.log" >>"$LOG"; return "$code"; }
    FAILED="${first% *}" code="${first#* }"
    # horovodrun ends its processes by SIGTERM whatever ended it.
    [[ $code -ne 143 || $STOPPED != INT ]] || code=130
    return "$code"
}
