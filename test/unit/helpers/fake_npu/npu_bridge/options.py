"""What the adapter reads from a session's `ConfigProto`, and what it refuses.

Played on the CPU: the real reading is in C++. An unknown key and a value under the wrong accessor
are silently ignored there; here they become `problems`. A bad value ends the process up to r1.9 and
is an error status from r1.12 on.
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
ACCESSORS.update(op_compiler_cache_mode="s", op_compiler_cache_dir="s", op_debug_level="i")
if release.since(5):
    ACCESSORS.update(modify_mixlist="s", aoe_mode="s", op_precision_mode="s")
    ACCESSORS.update(hccl_timeout="i", op_wait_timeout="i", op_execute_timeout="i")
if release.since(9):
    ACCESSORS.update(customize_dtypes="s", op_debug_config="s")
if release.since(10):
    ACCESSORS.update(dump_data="s", dump_layer="s", jit_compile="b")
if release.since(12):
    ACCESSORS.update(static_memory_policy="i")
if release.since(12):
    ACCESSORS["deterministic"] = "i"
if release.since(13):
    ACCESSORS.update(precision_mode_v2="s", jit_compile="s")
if not release.since(11):
    ACCESSORS["auto_tune_mode"] = "s"

CHOICES = {
    "dump_mode": ["input", "output", "all"],
    "dump_debug_mode": ["all", "aicore_overflow", "atomic_overflow"],
    "op_select_implmode": ["high_precision", "high_performance"],
}
if release.since(12):  # before that, any text goes on to the device
    CHOICES["precision_mode"] = [
        "allow_fp32_to_fp16",
        "force_fp16",
        "must_keep_origin_dtype",
        "allow_mix_precision",
        "force_fp32",
        "cube_fp16in_fp32out",
        "allow_mix_precision_fp16",
        "allow_mix_precision_bf16",
        "allow_fp32_to_bf16",
    ]
    CHOICES["precision_mode_v2"] = [
        "fp16",
        "origin",
        "cube_fp16in_fp32out",
        "mixed_float16",
        "mixed_bfloat16",
    ]
    CHOICES["jit_compile"] = ["true", "false", "auto"]
    CHOICES["dump_data"] = ["tensor", "stats"]
MIXLIST_MODES = ["allow_mix_precision"]
if release.since(13):
    MIXLIST_MODES += ["allow_mix_precision_fp16", "allow_mix_precision_bf16"]
    MIXLIST_MODES += ["mixed_float16", "mixed_bfloat16"]


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
        tf.errors.InternalError: a mixlist in a mode without one; from r1.12 on, any bad value.
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
    if not release.since(5) and rewrite.constant_folding != rewrite.OFF:
        problems.append("constant folding computes the overflow flags before the device does")
    if found.get("use_off_line"):
        _refuse_bad(found)
    return found, problems


def _refuse(reason):
    if release.since(12):
        raise tf.errors.InternalError(None, None, reason)
    raise Aborted(reason)


def _refuse_bad(found):
    for key, choices in CHOICES.items():
        if found.get(key, choices[0]) not in choices:
            _refuse(f"{key}: {found[key]}")
    if "precision_mode" in found and "precision_mode_v2" in found:
        raise tf.errors.InternalError(None, None, "precision_mode and precision_mode_v2")
    mode = found.get("precision_mode", found.get("precision_mode_v2"))
    if found.get("modify_mixlist") and mode not in MIXLIST_MODES:
        raise tf.errors.InternalError(None, None, "modify_mixlist needs a mode of mixed precision")
    if found.get("enable_dump") or found.get("enable_dump_debug"):
        path = found.get("dump_path", "")
        if not (os.path.isdir(path) and os.access(path, os.R_OK | os.W_OK)):
            _refuse(f"dump_path: {path!r}")
    if found.get("enable_dump") and not re.fullmatch(
        r"([0-9]+(-[0-9]+)?\|)+", found.get("dump_step", "0") + "|"
    ):
        _refuse(f"dump_step: {found['dump_step']!r}")
    if found.get("profiling_mode") and not release.since(8) and "profiling_options" not in found:
        _refuse("profiling_mode without profiling_options")
    if found.get("iterations_per_loop", 1) > 1 and found.get("mix_compile_mode"):
        _refuse("iterations_per_loop with mix_compile_mode")
