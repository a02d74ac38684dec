"""The options of the launch scripts."""

import os
import re
import textwrap
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

from config import OPTIONS
from datasets.registry import DATASETS
from launch import data
from options import UserError

# Each is {name: (what stands for its value, help)}.
OWN = {
    "data_path": (
        "WHERE",
        f"A data set's name ({', '.join(DATASETS)}, or a folder's in data/), its folder "
        "(/data/mnist, ./mnist), or the folder above it (/data). The default is mnist, which is "
        "fetched where it is missing.",
    ),
    "train_epochs": ("N", "Epochs to train instead of the script's own number."),
    "bind_core": ("True", "Bind to this rank's share of the cores (taskset)."),
}
ONE = {"device_id": ("N", "The device. The default is $ASCEND_DEVICE_ID or 0.")}
SEVERAL = {
    "np": ("N", "Devices of this machine. The default is 8."),
    "rank_table": (
        "FILE",
        "Ascend NPU: The devices' addresses (template: configs/rank_table_8p.json). The default is "
        "$RANK_TABLE_FILE. On other devices horovodrun starts the processes.",
    ),
}
# Those that main.py gets as they are.
PASSED_ON = {
    name: (
        option.declared.in_scripts,
        f"Ascend NPU: {option.declared.help}" if option.declared.npu_only else option.declared.help,
    )
    for name, option in OPTIONS.items()
    if option.declared.in_scripts
}
# Options of other scripts of the model zoo, and what to give instead.
ANSWERS = {
    "autotune": "here it is --aoe_mode=1, 2 or 4, or up to adapter r1.10 --auto_tune_mode=RL,GA; both "
    "go after --",
    "ckpt_path": "the script writes its checkpoints to test/output/$ASCEND_DEVICE_ID/ckpt; main.py "
    "resumes or draws from others, given as --checkpoint_dir",
    "device_id": "the rank table says which device a rank uses (--rank_table)",
}
SET_HERE = ("train", "out_dir", "out_name", "checkpoint_dir", "progress")
LOCATING = ("dataset", "data_dir")  # flags of main.py that follow from --data_path
PLAIN_NUMBER = re.compile(r"(0|[1-9][0-9]{0,5})\Z")
VARIABLES = {"ASCEND_DEVICE_ID": "0", "RANK_ID": "0", "RANK_SIZE": "1"}

USAGE = """\
usage: bash test/{script} [--NAME=VALUE ...] [-- MAIN-PY-FLAG ...]

Trains for {epochs} epoch(s) on {where}, then prints and files images/s, d_loss and duration.

{options}
Flags after -- go to main.py, and win over the above:
  bash test/{script} -- --train_size=640 --seed=1

Output: test/output/$ASCEND_DEVICE_ID/, emptied at the start. ASCEND_DEVICE_ID, RANK_ID and
RANK_SIZE are 0, 0 and 1 unless set. What cannot be measured (the speed of one step) is N/A.
Exit code: the training's own; 2 for a mistake in the options, which leaves the last output in
place; 130, 143, 129 and 138 if Ctrl-C, SIGTERM, SIGHUP (a closed terminal) and SIGUSR1 stopped it,
after a checkpoint. Final Train Accuracy is the last d_loss, as the launch convention has it."""


class Script(NamedTuple):
    """What a launch script says in its own file.

    Attributes:
        script: its file name.
        network: the name that the result is filed under.
        epochs: to train, as text.
        goal: "acc" or "perf", the end of the CaseName.
        devices: "one" or "several".
        python: the interpreter, once it has been chosen.
    """

    script: str
    network: str
    epochs: str
    goal: str
    devices: str
    python: str = ""


class Options(NamedTuple):
    """What the user asked for.

    Attributes:
        dataset: a `data.Location`.
        epochs: to train, as text.
        flags: for main.py.
        bind_core: whether each rank is bound to its share of the cores.
        np: number of processes that train together; None where there is one device.
        rank_table: a path, or None.
        variables: those of the launch convention, for the training's environment.
    """

    dataset: data.Location
    epochs: str
    flags: Tuple[str, ...]
    bind_core: bool
    np: Optional[int]
    rank_table: Optional[str]
    variables: Dict[str, str]


def check(words: List[str]) -> int:
    """Checks the options before the interpreter is chosen, or prints the help; returns 0."""
    script, given = split(words)
    if "-h" in given or "--help" in given:
        print(_usage(script))
    else:
        parse(script, given)
    return 0


def split(words: List[str]) -> Tuple[Script, List[str]]:
    """(what the script says, the user's words): the first `--` stands between them."""
    end = words.index("--")
    said = dict(word[len("--") :].split("=", 1) for word in words[:end])
    return Script(**said), words[end + 1 :]


def parse(script: Script, words: List[str]) -> Options:
    """The user's options, and the environment's variables, checked.

    Raises:
        UserError: naming the option or the variable.
    """
    end = words.index("--") if "--" in words else len(words)
    given, flags = _read_options(script, words[:end])
    for word in words[end + 1 :]:
        _check_flag(word)
    bind_core = _truth("bind_core", given.get("bind_core", "False"))
    np = _count(given.get("np", "8")) if script.devices == "several" else None
    if np is None:
        device = _device_variable(given.get("device_id"))
        variables = _read_variables({**os.environ, **device})
    else:
        variables = {"RANK_SIZE": str(np)}
    return Options(
        variables=variables,
        dataset=data.find(given.get("data_path", "mnist")),
        epochs=_epochs(given.get("train_epochs", script.epochs)),
        flags=(*flags, *words[end + 1 :]),
        bind_core=bind_core,
        np=np,
        rank_table=given.get("rank_table"),
    )


def _read_options(script: Script, words: List[str]) -> Tuple[Dict[str, str], List[str]]:
    """({own option: value}, the words that main.py gets as they are)."""
    own = {**OWN, **(SEVERAL if script.devices == "several" else ONE)}
    given, passed_on = {}, []
    for word in words:
        name, _, value = word.partition("=")
        known = name[len("--") :] if name.startswith("--") else ""
        if known in ANSWERS and known not in own:
            raise UserError(f"{name}: {ANSWERS[known]}")
        if known not in own and known not in PASSED_ON:
            raise UserError(f"{name}: unknown option (see --help; flags of main.py go after --)")
        if not value:
            raise UserError(f"{name}: needs a value, as in {name}=VALUE")
        if known in own:
            given[known] = value
        else:
            passed_on.append(word)
    return given, passed_on


def _read_variables(environment: Mapping[str, str]) -> Dict[str, str]:
    """The launch convention's variables, with their defaults."""
    found = {name: environment.get(name) or default for name, default in VARIABLES.items()}
    for name, value in found.items():
        if not PLAIN_NUMBER.match(value):
            raise UserError(f"{name}={value}: must be a plain number")
    if int(found["RANK_ID"]) >= int(found["RANK_SIZE"]):
        raise UserError(f"RANK_ID={found['RANK_ID']}: must be below RANK_SIZE={found['RANK_SIZE']}")
    return found


def _check_flag(word: str) -> None:
    """Refuses a flag of main.py that the script sets."""
    name = re.sub("^--?", "", word).split("=")[0]
    if name in SET_HERE:
        raise UserError(f"--{name}: set by the script itself")
    if name in LOCATING:
        raise UserError(f"--{name}: the script takes --data_path instead")


def _truth(name: str, value: str) -> bool:
    if value in ("True", "true", "1"):
        return True
    if value in ("False", "false", "0"):
        return False
    raise UserError(f"--{name}: True or False, not {value}")


def _device_variable(value: Optional[str]) -> Dict[str, str]:
    """The variable that `--device_id` stands for; none where it is not given."""
    if value is None:
        return {}
    if not PLAIN_NUMBER.match(value):
        raise UserError(f"--device_id={value}: must be a plain number")
    return {"ASCEND_DEVICE_ID": value}


def _epochs(value: str) -> str:
    if not re.match(r"[1-9][0-9]{0,5}\Z", value):
        raise UserError(f"--train_epochs={value}: must be a whole number from 1 to 999999")
    return value


def _count(value: str) -> int:
    if not re.match(r"[1-9][0-9]{0,2}\Z", value):
        raise UserError(f"--np={value}: must be a whole number from 1 to 999")
    return int(value)


def _usage(script: Script) -> str:
    several = script.devices == "several"
    rows = {**OWN, **PASSED_ON, **(SEVERAL if several else ONE)}
    options = [_option_text(f"--{name}={value}", help) for name, (value, help) in rows.items()]
    options.append(_option_text("-h, --help", "Print this text."))
    return USAGE.format(
        script=script.script,
        epochs=script.epochs,
        where="several devices" if several else "one device",
        options="\n".join(options),
    )


def _option_text(name: str, help: str) -> str:
    return textwrap.fill(
        help,
        width=100,
        initial_indent=f"  {name:<24} ",
        subsequent_indent=27 * " ",
        break_long_words=False,
        break_on_hyphens=False,
    )
