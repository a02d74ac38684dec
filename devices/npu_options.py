"""The session options of an Ascend NPU, checked before the device can abort.

The adapter silently ignores an unknown key or a value under the wrong accessor, and ends the process
on many bad values. So every value is checked here first. Keys, accessors and values are those of
CANN's manual for TensorFlow 1.15 in session mode. `npu_bridge` is not needed here.
"""

import json
import os
import re
import tempfile
from typing import Any, Dict, List, Sequence, Tuple

from config import OPTIONS, Config
from devices import located_json, loss_scale, mixlist, npu_keys
from options import UserError

DEFAULT_MIXLIST = os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "configs", "ops_info.json"
)
MIXED = "allow_mix_precision"
MIXED_FP16 = (MIXED, "allow_mix_precision_fp16")  # two names of one mode
MIXED_BF16 = "allow_mix_precision_bf16"
# Modes that take a mixlist; an adapter before r1.13 takes it with the first one only.
MIXLIST_MODES = (*MIXED_FP16, MIXED_BF16)
# Modes that compute at least the matrix operators in float16, so that small gradients may vanish.
FLOAT16_MODES = (
    *MIXED_FP16,
    "allow_fp32_to_fp16",
    "force_fp16",
    "force_fp32",
    "cube_fp16in_fp32out",
)
OFF = "off"  # of --modify_mixlist
# What --precision_mode_v2 calls the modes.
_MODES_V2 = {
    "fp16": "force_fp16",
    "origin": "must_keep_origin_dtype",
    "cube_fp16in_fp32out": "cube_fp16in_fp32out",
    "mixed_float16": "allow_mix_precision_fp16",
    "mixed_bfloat16": MIXED_BF16,
}
_FILES = ("op_precision_mode", "customize_dtypes", "op_debug_config")  # that the device reads

MAX_DUMP_STEPS = 100
_DUMP_STEP = re.compile(r"[0-9]+(-[0-9]+)?")
_SWITCHES = ("training_trace", "task_trace", "hccl", "aicpu")
_AIC_METRICS = (
    "ArithmeticUtilization",
    "PipeUtilization",
    "PipelineExecuteUtilization",
    "Memory",
    "MemoryL0",
    "MemoryUB",
    "MemoryAccess",
    "ResourceConflictRatio",
    "L2Cache",
)
_TUNERS = ("RL", "GA")


def check(config: Config) -> None:
    """Raises `UserError`, naming the flag, if an Ascend option is wrong on any machine."""
    loss_scale.parse(config.loss_scale)
    if config.modify_mixlist not in (None, OFF):
        if mode_of(config) not in MIXLIST_MODES:
            raise UserError(
                "--modify_mixlist: only together with a --precision_mode of "
                f"{', '.join(MIXLIST_MODES)}, not {mode_of(config)}"
            )
        mixlist.check(config.modify_mixlist)
    if config.over_dump and config.data_dump_flag:
        raise UserError("--data_dump_flag: not together with --over_dump (the device dumps one)")
    for name in ("dump_data", "dump_layer"):
        if getattr(config, name) is not None and not config.data_dump_flag:
            raise UserError(f"--{name}: only together with --data_dump_flag")
    _check_dump_step(config.data_dump_step)
    for name in _FILES:
        path = getattr(config, name)
        if path is not None and not os.path.isfile(path):
            raise UserError(f"--{name}: {path}: no such file")
    npu_keys.parse(config.npu_option)
    profiling_options(config)
    if config.auto_tune_mode is not None:
        tuners = config.auto_tune_mode.split(",")
        if len(set(tuners)) < len(tuners) or not set(tuners) <= set(_TUNERS):
            raise UserError(
                f"--auto_tune_mode: must be RL, GA or RL,GA, not {config.auto_tune_mode}"
            )


def _check_dump_step(text):
    items = text.split("|")
    if not all(_DUMP_STEP.fullmatch(item) for item in items):
        raise UserError(
            f"--data_dump_step: must be steps and ranges such as 0|5|10-20, not {text!r}"
        )
    if len(items) > MAX_DUMP_STEPS:
        raise UserError(f"--data_dump_step: {len(items)} items; the device takes {MAX_DUMP_STEPS}")
    for item in items:
        first, _, last = item.partition("-")
        if last and int(first) >= int(last):
            raise UserError(f"--data_dump_step: the range {item} does not ascend")


def profiling_options(config: Config) -> Dict[str, str]:
    """The profiling options; those that are not given have the project's defaults.

    Raises:
        UserError: `--profiling_options` is not a JSON object of such options.
    """
    defaults = {
        "output": config.data_save_path,
        "training_trace": "on",
        "task_trace": "on",
        "hccl": "on",
        "aicpu": "on",
        "fp_point": "",
        "bp_point": "",
        "aic_metrics": "PipeUtilization",
    }
    if config.profiling_options is None:
        return defaults
    try:
        given = located_json.parse(config.profiling_options)
        if not isinstance(given.value, dict):
            raise given.error((), "must be a JSON object")
        for name, value in given.value.items():
            if not isinstance(value, str):
                raise given.error((name,), "must be text in quotes")
            if name in _SWITCHES and value not in ("on", "off"):
                raise given.error((name,), 'must be "on" or "off"')
            if name == "aic_metrics" and value not in _AIC_METRICS:
                raise given.error((name,), f"must be one of {', '.join(_AIC_METRICS)}")
    except located_json.BadJson as error:
        raise UserError(f"--profiling_options: {error}")
    return dict(defaults, **given.value)


def mode_of(config: Config) -> str:
    """The precision mode in effect, as --precision_mode calls it."""
    if config.precision_mode_v2 is None:
        return config.precision_mode
    return _MODES_V2[config.precision_mode_v2]


def loss_scale_of(config: Config) -> loss_scale.LossScale:
    """The loss scale of a checked config: off in a mode without float16, unless it was asked for."""
    scale = loss_scale.parse(config.loss_scale)
    asked = scale.fixed or "loss_scale" in config.given
    return scale if asked or mode_of(config) in FLOAT16_MODES else loss_scale.OFF


def mixlist_of(config: Config) -> str:
    """The mixlist's absolute path, or "" if there is none to send.

    The default mixlist says what to keep out of float16, so it goes with the float16 modes only.
    """
    if config.modify_mixlist == OFF:
        return ""
    if config.modify_mixlist is None:
        return DEFAULT_MIXLIST if mode_of(config) in MIXED_FP16 else ""
    return os.path.abspath(config.modify_mixlist)


def make_folders(config: Config) -> None:
    """Makes the folders that the device writes to; the device makes none itself.

    Raises:
        UserError: naming the flag of a folder that cannot be made or written.
    """
    for switch, name in (("over_dump", "over_dump_path"), ("data_dump_flag", "data_dump_path")):
        if getattr(config, switch):
            _make_folder(_moved_by(config, name) or name, dump_folder(config, name))
    if config.profiling:
        output = profiling_options(config)["output"]
        given = output != config.data_save_path
        _make_folder("profiling_options" if given else "data_save_path", output)


def dump_folder(config: Config, name: str) -> str:
    """The absolute folder of a dump: its own one if it was given, else within a given data_save_path.

    Args:
        name: "over_dump_path" or "data_dump_path".
    """
    path = getattr(config, name)
    mover = _moved_by(config, name)
    if mover:
        path = os.path.join(getattr(config, mover), os.path.basename(path))
    return os.path.abspath(path)


def _moved_by(config, name):
    """The option that moves the folder of the option `name`, or ""."""
    moved = "data_save_path" in config.given and name not in config.given
    return "data_save_path" if moved else ""


def _make_folder(flag, path):
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            os.listdir(path)
    except OSError as error:
        raise UserError(f"--{flag}: cannot be made or written: {error}")


def parameters(
    config: Config, *, mixlist_path: str, deterministic: bool
) -> List[Tuple[str, str, Any]]:
    """The NpuOptimizer's parameters for a checked config.

    Args:
        config: `Config`.
        mixlist_path: absolute, or "" for none.
        deterministic: whether equal runs must give equal results.

    Returns:
        [(key, accessor, value)]; the accessor is b (bool), i (int) or s (str).
    """
    chosen: List[Tuple[str, str, Any]] = [("use_off_line", "b", True)]
    if config.precision_mode_v2 is None:
        chosen.append(("precision_mode", "s", config.precision_mode))
    if mixlist_path:
        chosen.append(("modify_mixlist", "s", mixlist_path))
    if deterministic:
        chosen.append(("deterministic", "i", 1))
    if not (config.train or config.evaluate):  # --evaluate may train a classifier
        chosen.append(("graph_run_mode", "i", 0))
    chosen += _dump_parameters(config)
    if config.profiling:
        profile = profiling_options(config)
        profile["output"] = os.path.abspath(profile["output"])
        chosen += [("profiling_mode", "b", True), ("profiling_options", "s", json.dumps(profile))]
    if config.iterations_per_loop > 1:
        # Many steps in one run: batches come from the device's queue, and no op stays on the host.
        chosen += [
            ("iterations_per_loop", "i", config.iterations_per_loop),
            ("enable_data_pre_proc", "b", True),
            ("mix_compile_mode", "b", False),
        ]
    for name, accessor in npu_keys.sent_as_given(config).items():
        chosen.append((name, accessor, getattr(config, name)))
    for name in ("graph_memory_max_size", "variable_memory_max_size"):
        if getattr(config, name) is not None:
            chosen.append((name, "s", str(getattr(config, name))))
    for key, accessor, value in npu_keys.parse(config.npu_option):
        if key in [other for other, _, _ in chosen]:
            raise UserError(f"--npu_option: {key} is set by the other options of this run")
        chosen.append((key, accessor, value))
    return chosen


def _dump_parameters(config):
    chosen = []
    if config.over_dump:
        chosen += [
            ("enable_dump_debug", "b", True),
            ("dump_path", "s", dump_folder(config, "over_dump_path")),
            ("dump_debug_mode", "s", config.dump_debug_mode),
        ]
    if config.data_dump_flag:
        chosen += [
            ("enable_dump", "b", True),
            ("dump_path", "s", dump_folder(config, "data_dump_path")),
            ("dump_step", "s", config.data_dump_step),
            ("dump_mode", "s", config.dump_mode),
        ]
    return chosen


def without_effect(config: Config, *, used: Sequence[str] = ()) -> List[str]:
    """The flags that were given and have no effect without an NPU.

    Args:
        used: names of options that the device uses all the same.
    """
    return [
        f"--{name}"
        for name, option in OPTIONS.items()
        if name in config.given
        and option.declared.npu_only
        and name not in used
        and _asks(config, name)
    ]


def _asks(config, name):  # a switch that stays off asks for nothing
    declared = OPTIONS[name].declared
    if declared.path and declared.switch:  # the launch scripts always give a dump's folder
        name = declared.switch
    return getattr(config, name) is not False or OPTIONS[name].default is not False
