# What the launch scripts share: options, the device's output folder, the training itself, and the
# figures taken from its log. A script sources this file and calls launch.

. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$(dirname "${BASH_SOURCE[0]}")/results.sh"

DATA_SETS="mnist fashion_mnist cifar10 celebA lsun synthetic synthetic_mnist"  # the first there is
PASSED_ON="precision_mode modify_mixlist over_dump over_dump_path data_dump_flag data_dump_step
data_dump_path profiling data_save_path"
SET_HERE="train out_dir out_name checkpoint_dir progress"
OWN_OPTIONS="data_path bind_core"               # more in ranks.sh

usage() {
    cat <<TEXT
usage: bash test/$(basename "$0") [--NAME=VALUE ...] [-- MAIN-PY-FLAG ...]

Trains for $2 epoch(s) on ${WHERE:-one device}, then prints and files images/s, d_loss and duration.

  --data_path=WHERE        a data set's name (${DATA_SETS// /, },
                           or a folder's in data/), its folder (/data/mnist, ./mnist), or the folder
                           above it (/data); default mnist, which is fetched where it is missing
  --precision_mode=MODE    Ascend: how precision may be lowered
  --modify_mixlist=FILE    Ascend: the mixlist file
  --over_dump=True         Ascend: dump what overflows, into --over_dump_path=DIR
  --data_dump_flag=True    Ascend: dump the operations' data of the steps
                           --data_dump_step=STEPS (such as 0|5|10-20), into --data_dump_path=DIR
  --profiling=True         profile, into --data_save_path=DIR
  --bind_core=True         bind to this rank's share of the cores (taskset)${MORE_USAGE:-}
  -h, --help               this text
Whatever follows -- goes to main.py, which comes after the above:
  bash test/$(basename "$0") -- --train_size=640 --seed=1

Output: test/output/\$ASCEND_DEVICE_ID/, emptied at the start. ASCEND_DEVICE_ID, RANK_ID and
RANK_SIZE are 0, 0 and 1 unless set. What cannot be measured (the speed of one step) is N/A.
Exit code: the training's own; 2 for a mistake in the options, which leaves the last output in place;
130 and 143 where Ctrl-C or SIGTERM stopped it, after a checkpoint.
TEXT
}

# parse_options OPTION...: sets DATA_PATH, BIND_CORE and FLAGS (for main.py).
parse_options() {
    local name
    DATA_PATH=mnist BIND_CORE=false FLAGS=()
    while [[ $# -gt 0 && $1 != -- ]]; do
        name="${1%%=*}"
        [[ $name == --* ]] && listed "${name#--}" $OWN_OPTIONS $PASSED_ON ||
            refuse "$name: unknown option (see --help; flags of main.py go after --)"
        [[ $1 == *=?* ]] || refuse "$name: needs a value, as in $name=VALUE"
        case "$name" in
            --data_path) DATA_PATH="${1#*=}" ;;
            --bind_core) BIND_CORE="$(truth "$1")" || exit ;;
            --np) NP="${1#*=}" ;;
            --rank_table) RANK_TABLE_FILE="${1#*=}" ;;
            *) FLAGS+=("$1") ;;
        esac
        shift
    done
    for name in "${@:2}"; do
        name="${name#-}"
        name="${name#-}"
        listed "${name%%=*}" $SET_HERE && refuse "--${name%%=*}: set by the script itself"
        [[ ${name%%=*} == dataset || ${name%%=*} == data_dir ]] &&
            refuse "--${name%%=*}: the script takes --data_path instead"
    done
    FLAGS+=("${@:2}")
}

listed() { [[ " ${*:2} " == *" $1 "* ]]; }

# truth --name=value: prints true or false.
truth() {
    case "${1#*=}" in
        [Tt]rue|1) echo true ;;
        [Ff]alse|0) echo false ;;
        *) refuse "${1%%=*}: True or False, not ${1#*=}" ;;
    esac
}

# Exports the launch convention's variables, with their defaults.
check_variables() {
    local name
    : "${ASCEND_DEVICE_ID:=0}" "${RANK_ID:=0}" "${RANK_SIZE:=1}"
    for name in ASCEND_DEVICE_ID RANK_ID RANK_SIZE; do
        [[ ${!name} =~ ^(0|[1-9][0-9]{0,5})$ ]] || refuse "$name=${!name}: must be a plain number"
    done
    [[ $RANK_ID -lt $RANK_SIZE ]] || refuse "RANK_ID=$RANK_ID: must be below RANK_SIZE=$RANK_SIZE"
    export ASCEND_DEVICE_ID RANK_ID RANK_SIZE
}

# find_data WHERE: sets DATA_SET, DATA_DIR (the folder above the set's own, where it is fetched to) and
# DATA: the flag that names the folder where there is something in it.
find_data() {
    local folder
    DATA_SET="$1" DATA_DIR="$ROOT/data" DATA=()
    if [[ $1 != */* && $1 != .* ]] && { listed "$1" $DATA_SETS || [[ -d $DATA_DIR/$1 ]]; }; then
        return
    fi
    [[ -d $1 && -r $1 && -x $1 ]] ||
        refuse "--data_path=$1: neither a data set (${DATA_SETS// /, }) nor a readable folder"
    folder="$(set_below "$(cd "$1" && pwd)")"
    DATA_SET="$(basename "$folder")" DATA_DIR="$(dirname "$folder")"
    listed "$DATA_SET" mnist fashion_mnist && return        # main.py fetches what it lacks
    DATA=(--data_path="$folder")
    if compgen -G "$folder/*-idx[13]-ubyte*" >/dev/null; then
        [[ $DATA_SET == *[Ff]ashion* ]] && DATA_SET=fashion_mnist || DATA_SET=mnist
    elif [[ -n "$(find -L "$folder" -maxdepth 2 -name data_batch_1.bin)" ]]; then
        DATA_SET=cifar10
    elif [[ -z "$(pictures_in "$folder")" ]]; then
        DATA=()
        listed "$DATA_SET" $DATA_SETS ||
            refuse "--data_path=$1: holds no pictures and no data set's folder (${DATA_SETS// /, })"
    fi
}

# set_below FOLDER: prints the first data set's folder in it, or else the folder itself.
set_below() {
    local name
    for name in $DATA_SETS; do
        [[ -d $1/$name ]] && { echo "$1/$name"; return; }
    done
    echo "$1"
}

# Prints one of the pictures (or databases of pictures) in a folder, which may be nested as celebA's.
pictures_in() {
    find -L "$1" -maxdepth 3 -type f \( -iname '*.jpg' -o -iname '*.jpeg' -o -iname '*.png' \
        -o -iname '*.bmp' -o -iname '*.webp' -o -name data.mdb \) -print -quit
}

# open_output DEVICE: takes the device's output folder and empties it; what was there stands aside in
# .previous until the training has accepted its options. The lock holds as long as the training lives.
# Sets OUT, LOG.
open_output() {
    OUT="$ROOT/test/output/$1"
    LOG="$OUT/train_$1.log"
    { mkdir -p "$OUT" && : >>"$OUT/.lock"; } 2>/dev/null || refuse "$OUT: cannot be written"
    if command -v flock >/dev/null; then
        exec {lock}>>"$OUT/.lock"
        flock -n "$lock" || refuse "ASCEND_DEVICE_ID=$1: another launch uses $OUT"
    else
        say "flock is missing: nothing keeps a second launch out of $OUT"
    fi
    OUTPUTS+=("$OUT")
    { rm -rf "$OUT/.previous" && mkdir "$OUT/.previous" && move_visible "$OUT" "$OUT/.previous" &&
        mkdir "$OUT/ckpt" "$OUT/overflow" && : >"$LOG"; } 2>/dev/null ||
        refuse "$OUT: cannot be emptied"
}

move_visible() { find "$1" -mindepth 1 -maxdepth 1 ! -name '.*' -exec mv -- {} "$2/" \; ; }

restore_outputs() {
    local folder
    for folder in "${OUTPUTS[@]}"; do
        find "$folder" -mindepth 1 -maxdepth 1 ! -name '.*' -exec rm -rf -- {} +
        move_visible "$folder/.previous" "$folder"
    done
}

# binding: sets BINDING, the taskset words that bind this rank to its share of the cores.
set_binding() {
    local cores share cpus
    BINDING=()
    [[ $BIND_CORE == true ]] || return
    cores="$(getconf _NPROCESSORS_ONLN)"
    share=$((cores / RANK_SIZE > 0 ? cores / RANK_SIZE : 1))
    cpus="$((RANK_ID * share % cores))-$(((RANK_ID * share % cores) + share - 1))"
    if taskset -c "$cpus" true 2>/dev/null; then
        BINDING=(taskset -c "$cpus")
    else
        say "--bind_core: taskset is missing or refuses the cores $cpus; training without it"
    fi
}

# set_command EPOCHS: sets COMMAND, which trains; it stands in OUT, the folder of rank 0's device.
set_command() {
    COMMAND=("$PYTHON" -u "$ROOT/main.py" --train --dataset="$DATA_SET"
        --data_dir="$DATA_DIR" "${DATA[@]}" --epoch="$1" --out_dir="$OUT" --out_name=run
        --checkpoint_dir="$OUT/ckpt" --over_dump_path="$OUT/overflow"
        --data_dump_path="$OUT/data_dump" --data_save_path="$OUT/profiling" "${FLAGS[@]}")
}

# Where the training's standard error goes: on a terminal it is shown too. Sets BAR and ERRORS.
open_errors() {
    local size
    BAR=off ERRORS="$LOG"
    [[ -t 2 ]] || return
    BAR=on ERRORS="$OUT/.stderr"
    mkfifo "$ERRORS"
    size="$(stty size <&2 2>/dev/null)"
    [[ ${size:-0 0} == *" 0" ]] || export LINES="${size% *}" COLUMNS="${size#* }"
}

# Starts main.py and sets TRAINING, its process. It is in a process group of its own: a Ctrl-C reaches
# this script alone, which passes it on once.
start_training() {
    open_errors
    set_binding
    set -m
    [[ $BAR == off ]] || show_errors <"$ERRORS" &
    DISPLAY_OF_ERRORS=$!
    "${BINDING[@]}" "${COMMAND[@]}" --progress="$BAR" </dev/null >>"$LOG" 2>>"$ERRORS" &
    TRAINING=$!
    set +m
    [[ -z $STOP ]] || kill -s "$STOP" "$TRAINING"
}

# TRAINING may be several processes.
pass_on() {
    STOP="$1" STOPPED="$1"
    [[ -z $TRAINING ]] || kill -s "$STOP" $TRAINING 2>/dev/null
}

# Standard error goes to the terminal as it is, and into the log without the progress bars.
show_errors() {
    trap '' INT TERM HUP TTOU
    { tee /dev/fd/3 3>&1 >&2; } | tr '\r' '\n' |
        LC_ALL=C sed -e 's/^[^|]*[0-9]%|[^|]*|[^]]*\]//' -e '/^[[:space:]]*$/d' >>"$LOG"
}

# Waits for the training, whatever signals come meanwhile; returns its exit code.
wait_for_training() {
    local code
    while :; do
        STOP=""
        wait "$TRAINING" 2>/dev/null
        code=$?
        [[ -n $STOP ]] || break
    done
    end_display
    return "$code"
}

end_display() {
    wait "$DISPLAY_OF_ERRORS" 2>/dev/null
    rm -f "$OUT/.stderr"
}

# Whether main.py refused what it was asked for: a mistake of the user's before the first step.
refused() { [[ $1 -eq 2 && -z "$(log_steps <"$LOG")" && -z "$(ls "$OUT/ckpt")" ]]; }

# report_failure CODE: says what happened; a refused training leaves the last output in place.
report_failure() {
    local log="$LOG"
    [[ -z $FAILED ]] || log="$ROOT/test/output/$FAILED/train_$FAILED.log"
    if refused "$1"; then
        [[ -t 2 && $log == "$LOG" ]] || cat "$log" >&2
        restore_outputs
        return
    fi
    case "$1" in
        130|143) say "Training stopped by a signal. To go on: $(printf '%q ' "${LAUNCHER[@]}" "${COMMAND[@]}")" ;;
        *) say "Training failed with exit code $1${FAILED:+ in rank $FAILED}. The last lines of its log:"
           tail -n 20 "$log" >&2 ;;
    esac
    say "Log: $log"
}

# launch GOAL EPOCHS OPTION...: trains on one device; GOAL (acc or perf) ends the CaseName.
launch() {
    if listed --help "${@:3}" || listed -h "${@:3}"; then usage "$@"; exit 0; fi
    parse_options "${@:3}"
    check_variables
    find_data "$DATA_PATH"
    choose_python
    heed_signals
    open_output "$ASCEND_DEVICE_ID"
    train "$1" "$2" start_training wait_for_training
}

heed_signals() {
    TRAINING="" STOP="" STOPPED="" FAILED=""
    OUTPUTS=() LAUNCHER=()
    trap 'pass_on INT' INT
    trap 'pass_on TERM' TERM HUP
}

# train GOAL EPOCHS START WAIT: the training and its result; exits with the training's code.
train() {
    local code=0 start
    say "Training: $DATA_SET (${DATA[0]:-in $DATA_DIR}), $2 epoch(s); log: $LOG"
    set_command "$2"
    start="$(date +%s)"
    "$3"
    "$4" || code=$?
    if [[ $code -eq 0 ]]; then
        final_result "$1" "$(($(date +%s) - start))"
    else
        report_failure "$code"
    fi
    rm -rf "${OUTPUTS[@]/%//.previous}"
    exit "$code"
}
