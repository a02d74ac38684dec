#!/usr/bin/env bash
# A frozen generator (python main.py --freeze) to an offline model of the Ascend devices, by CANN's atc.
usage() {
    cat <<'TEXT'
usage: bash test/pb2om.sh --pb=FILE [--NAME=VALUE ...]

  --pb=FILE              the frozen graph, OUT_DIR/OUT_NAME/export/generator.pb; generator.json, which
                         says what it takes, must stand beside it
  --output=PREFIX        the model to write, without .om; by default beside the graph
  --batch_size=N         images in one call; 64 by default
  --soc_version=NAME     the device; by default the one that npu-smi names, or Ascend910
  -h, --help             this text

Exit code: atc's own; 2 for a mistake in the options, 3 where CANN is not installed.
TEXT
}

. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

# chip_name: the first chip that npu-smi knows, such as Ascend910B1; Ascend910 without one.
chip_name() {
    local name
    name="$(npu-smi info 2>/dev/null |
        sed -nE '/^\| *[0-9]+ +(Ascend)?[0-9]{3}[0-9A-Za-z]* .*/{s//&/;s/^\| *[0-9]+ +(Ascend)?([0-9A-Za-z]+) .*/Ascend\2/p;q}')"
    echo "${name:-Ascend910}"
}

# input_shape JSON BATCH: prints "z:64,100;y:64,10". One line for what it cannot read.
input_shape() {
    "$PYTHON" - "$1" "$2" <<'PYTHON'
import json, sys
path, batch = sys.argv[1:]
try:
    with open(path, encoding="utf-8") as file:
        inputs = json.load(file)["inputs"]
    print(";".join("{}:{}".format(name, ",".join(map(str, [int(batch)] + [int(n) for n in sizes])))
                   for name, sizes in inputs.items()))
except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    sys.exit("{}: does not say what the graph takes: {!r}".format(path, error))
PYTHON
}

pb="" output="" batch_size=64 soc_version=""
while [[ $# -gt 0 ]]; do
    case "$1" in
        --pb=?*) pb="${1#*=}" ;;
        --output=?*) output="${1#*=}" ;;
        --batch_size=?*) batch_size="${1#*=}" ;;
        --soc_version=?*) soc_version="${1#*=}" ;;
        -h|--help) usage; exit 0 ;;
        *) refuse "$1: unknown option, or one without a value (see --help)" ;;
    esac
    shift
done
[[ -n $pb ]] || refuse "--pb: must name a frozen graph (see --help)"
[[ -r $pb && -s $pb ]] || refuse "--pb=$pb: not a file that can be read"
[[ $batch_size =~ ^[1-9][0-9]{0,5}$ ]] || refuse "--batch_size=$batch_size: must be a whole number from 1"
source_cann
command -v atc >/dev/null ||
    { say "atc: not found; it comes with CANN (source its set_env.sh, or set ASCEND_TOOLKIT_HOME)"; exit 3; }
PYTHON="${DCGAN_PYTHON:-$(type -P python3)}" || refuse "python3: not found"
shape="$(input_shape "${pb%.pb}.json" "$batch_size")" || exit 2
exec atc --model="$pb" --framework=3 --output="${output:-${pb%.pb}}" --soc_version="${soc_version:-$(chip_name)}" \
    --input_shape="$shape"
