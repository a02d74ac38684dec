"""What the adapter reads from a session's `ConfigProto`, and what it ends the process for.

Played on the CPU: the real reading is in C++. An unknown key and a value under the wrong accessor
are passed over there; here they become `problems`.
"""

import os
import re

import tensorflow.compat.v1 as tf

from npu_bridge import release

ACCESSORS = {
    "use_off_line": "b",
    "mix_compile_mode": "b",
    "enable_data_pre_proc": "b",
    "hcom_parallel": "b",
    "enable_dump": "b",
    "enable_dump_debug": "b",
    "profiling_mode": "b",
    "iterations_per_loop": "i",
    "session_device_id": "i",
    "graph_run_mode": "i",
    "precision_mode": "s",
    "dump_path": "s",
    "dump_step": "s",
    "dump_mode": "s",
    "dump_debug_mode": "s",
    "profiling_options": "s",
    "op_select_implmode": "s",
    "graph_memory_max_size": "s",
    "variable_memory_max_size": "s",
}
if release.since(5):
    ACCESSORS["modify_mixlist"] = "s"
if release.since(9):
    ACCESSORS["aoe_mode"] = "s"
if not release.since(13):
    ACCESSORS["auto_tune_mode"] = "s"

CHOICES = {
    "precision_mode": [
        "allow_fp32_to_fp16",
        "force_fp16",
        "must_keep_origin_dtype",
        "allow_mix_precision",
    ],
    "dump_mode": ["input", "output", "all"],
    "dump_debug_mode": ["all", "aicore_overflow", "atomic_overflow"],
    "op_select_implmode": ["high_precision", "high_performance"],
}
if release.since(9):
    CHOICES["precision_mode"] += ["force_fp32", "cube_fp16in_fp32out"]
if release.since(13):
    CHOICES["precision_mode"] += [
        "allow_mix_precision_fp16",
        "allow_mix_precision_bf16",
        "allow_fp32_to_bf16",
    ]


class Aborted(BaseException):
    """Stands for the end of the process, which no Python code can catch."""


def npu_optimizer(config):
    """The NpuOptimizer of a `ConfigProto`, or None."""
    return next(
        (
            optimizer
            for optimizer in config.graph_options.rewrite_options.custom_optimizers
            if optimizer.name == "NpuOptimizer"
        ),
        None,
    )


def read(config):
    """(options, problems) of a session's config with an NpuOptimizer.

    Raises:
        Aborted: a value for which the adapter ends the process.
        tf.errors.InternalError: a mixlist without allow_mix_precision.
    """
    found, problems = {}, []
    for key, value in npu_optimizer(config).parameter_map.items():
        accessor = value.WhichOneof("value")
        if key not in ACCESSORS:
            problems.append(f"unknown key {key}")
        elif accessor != ACCESSORS[key]:
            problems.append(f"{key} under .{accessor} instead of .{ACCESSORS[key]}")
        else:
            found[key] = value.s.decode() if accessor == "s" else getattr(value, accessor)
    rewrite = config.graph_options.rewrite_options
    for name in ("remapping", "memory_optimization"):
        if getattr(rewrite, name) != rewrite.OFF:
            problems.append(f"{name} is not off")
    if found.get("use_off_line"):
        _refuse_bad(found)
    return found, problems


def _refuse_bad(found):
    for key, choices in CHOICES.items():
        if found.get(key, choices[0]) not in choices:
            raise Aborted(f"{key}: {found[key]}")
    if found.get("modify_mixlist") and found.get("precision_mode") != "allow_mix_precision":
        raise tf.errors.InternalError(None, None, "modify_mixlist needs allow_mix_precision")
    if found.get("enable_dump") or found.get("enable_dump_debug"):
        path = found.get("dump_path", "")
        if not (os.path.isdir(path) and os.access(path, os.R_OK | os.W_OK)):
            raise Aborted(f"dump_path: {path!r}")
    if found.get("enable_dump") and not re.match(
        r"(\d+(-\d+)?\|)+$", found.get("dump_step", "0") + "|"
    ):
        raise Aborted("dump_step: {}".format(found["dump_step"]))
    if found.get("profiling_mode") and not release.since(8) and "profiling_options" not in found:
        raise Aborted("profiling_mode without profiling_options")
    if found.get("iterations_per_loop", 1) > 1 and found.get("mix_compile_mode"):
        raise Aborted("iterations_per_loop with mix_compile_mode")
