# From the log of a training to the launch convention's figures and files.

NETWORK=DCGAN_ID0686_for_TensorFlow

# option NAME: a number among the run's options, as its FLAGS.json has it.
option() {
    local value
    value="$(sed -n "s/^ *\"$1\": *\([0-9]*\),*$/\1/p" "$OUT/run/FLAGS.json" 2>/dev/null)"
    echo "${value:-N/A}"
}

# log_steps: of each log line of standard input its counter, epoch, time and d_loss, and whether the
# step before it drew a sample grid (1) or not (0).
log_steps() {
    LC_ALL=C awk '
        /^\[Sample\]/ { sampled = 1 }
        /^\[.*Epoch:.*time:.*d_loss:/ {
            print after("\\["), after("Epoch:"), after("time:"), after("d_loss:"), sampled + 0
            sampled = 0
        }
        function after(label,    rest) {
            rest = $0
            sub("^.*" label " *", "", rest)
            sub("[^-+.0-9a-zA-Z].*", "", rest)
            return rest
        }'
}

# step_seconds CKPT_FREQ: seconds a step between neighbouring lines of the first epoch of log_steps.
# Left out: the first difference (it holds the start), and those that hold a sample grid or a
# checkpoint; if nothing else is there, they are better than nothing.
step_seconds() {
    LC_ALL=C awk -v ckpt_freq="${1/N\/A/0}" '
        NR == 1 { epoch = $2 }
        $2 != epoch { exit }
        NR > 1 && $1 > step && $3 >= time {
            seconds = sprintf("%.9f", ($3 - time) / ($1 - step))
            saved = ckpt_freq > 0 && int(($1 - 1) / ckpt_freq) > int((step - 1) / ckpt_freq)
            if (differences++ && !$5 && !saved) { print seconds; printed = 1 }
            else left_out = left_out seconds "\n"
        }
        { step = $1; time = $3 }
        END { if (!printed) printf "%s", left_out }'
}

# typical: the mean of the numbers of standard input without outliers: those over three times the
# median. The log gives time to 0.0001 s, so that much is never an outlier. N/A without a number > 0.
typical() {
    sort -n | LC_ALL=C awk '
        { value[NR] = $1 }
        END {
            limit = 3 * value[int((NR + 1) / 2)] + 0.0002
            for (i = 1; i <= NR; i++) if (value[i] <= limit) { sum += value[i]; count++ }
            if (sum > 0) printf "%.9f\n", sum / count; else print "N/A"
        }'
}

# rounded NUMBER FACTOR DIVISOR: NUMBER * FACTOR / DIVISOR to four digits or more; N/A if one is N/A.
rounded() {
    LC_ALL=C awk -v number="$1" -v factor="$2" -v divisor="$3" 'BEGIN {
        if (number == "N/A" || divisor == "N/A") { print "N/A"; exit }
        value = number * factor / divisor
        printf (value < 100 ? "%.4g\n" : "%.2f\n"), value
    }'
}

# final_result GOAL SECONDS: prints the result and writes the loss list and CaseName.log.
final_result() {
    local batch seconds fps accuracy case_name losses picture
    batch="$(option batch_size)"
    case_name="${NETWORK}_bs${batch}_${RANK_SIZE}p_$1"
    losses="$OUT/train_${case_name}_loss.txt"
    log_steps <"$LOG" | awk '{ print $4 }' >"$losses"
    seconds="$(log_steps <"$LOG" | step_seconds "$(option ckpt_freq)" | typical)"
    fps="$(rounded "$batch" "$RANK_SIZE" "$seconds")"
    accuracy="$(sed -n 's/^Final accuracy d_loss *//p' "$LOG" | tail -n 1)"
    cat <<TEXT
------------------ Final result ------------------
Final Performance images/sec : $fps
Final Train Accuracy : ${accuracy:-N/A}
E2E Training Duration sec : $2
TEXT
    picture="$(find "$OUT/run/samples" -name 'train_*.png' 2>/dev/null | sort | tail -n 1)"
    echo "Sample grid: ${picture:-none}"
    echo "Log: $LOG"
    cat >"$OUT/$case_name.log" <<TEXT
Network = $NETWORK
RankSize = $RANK_SIZE
BatchSize = $batch
DeviceType = $(uname -m)
CaseName = $case_name
ActualFPS = $fps
TrainingTime = $(rounded "$seconds" 1000 1)
TrainAccuracy = ${accuracy:-N/A}
ActualLoss = $(tail -n 1 "$losses" | grep . || echo N/A)
E2ETrainingTime = $2
TEXT
}
