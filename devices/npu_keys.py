"""The keys of the NPU's session options: their accessors, and the flag `--npu_option KEY=VALUE`.

The adapter silently ignores an unknown key or a value under the wrong accessor, so the keys that
`--npu_option` takes are listed here, as the adapter's `npu_attrs.cc` reads them.
"""

import difflib
import re
from typing import Any, Dict, List, Sequence, Tuple

from options import UserError

# Options whose key is their own name and whose value is sent as it is: b (bool), i (int), s (str).
PLAIN: Dict[str, str] = {
    "auto_tune_mode": "s",
    "aoe_mode": "s",
    "op_select_implmode": "s",
    "op_precision_mode": "s",
    "customize_dtypes": "s",
    "jit_compile": "s",
    "op_compiler_cache_mode": "s",
    "op_compiler_cache_dir": "s",
    "op_debug_config": "s",
    "hcom_parallel": "b",
    "hccl_timeout": "i",
    "session_device_id": "i",
}
# Of these, and of two options of the data dump, only the newer releases know some.
MAY_BE_UNKNOWN = (*PLAIN, "precision_mode_v2", "dump_data", "dump_layer")

# What `--npu_option` takes: keys without a flag of their own.
OTHERS: Dict[str, str] = {
    "HCCL_algorithm": "s",
    "ac_parallel_enable": "s",
    "aicore_num": "s",
    "aoe_config_file": "s",
    "atomic_clean_policy": "i",
    "buffer_optimize": "s",
    "compile_dynamic_mode": "b",
    "compress_weight_conf": "s",
    "debug_dir": "s",
    "device_type": "s",
    "distribute_config": "s",
    "enable_compress_weight": "b",
    "enable_exception_dump": "i",
    "enable_scope_fusion_passes": "s",
    "enable_small_channel": "i",
    "event_sync_timeout": "i",
    "export_compile_stat": "i",
    "external_weight": "b",
    "frozen_variable": "b",
    "fusion_switch_file": "s",
    "graph_max_parallel_model_num": "i",
    "hcom_multi_mode": "b",
    "input_fusion_size": "i",
    "insert_op_file": "s",
    "is_tailing_optimization": "b",
    "local_device_list": "s",
    "local_rank_id": "i",
    "memory_optimization_policy": "s",
    "mix_compile_mode": "b",
    "oo_constant_folding": "b",
    "op_debug_level": "i",
    "op_execute_timeout": "i",
    "op_wait_timeout": "i",
    "optypelist_for_implmode": "s",
    "quant_dumpable": "s",
    "soc_config": "s",
    "static_memory_policy": "i",
    "stream_max_parallel_num": "s",
    "stream_sync_timeout": "i",
    "topo_sorting_mode": "i",
    "variable_format_optimize": "b",
    "variable_placement": "s",
    "variable_use_1g_huge_page": "i",
    "work_path": "s",
}
# Keys that other flags set.
_FLAGS: Dict[str, str] = {
    **{name: name for name in MAY_BE_UNKNOWN},
    "precision_mode": "precision_mode",
    "modify_mixlist": "modify_mixlist",
    "deterministic": "deterministic",
    "enable_dump_debug": "over_dump",
    "dump_debug_mode": "dump_debug_mode",
    "enable_dump": "data_dump_flag",
    "dump_path": "data_dump_path or --over_dump_path",
    "dump_step": "data_dump_step",
    "dump_mode": "dump_mode",
    "profiling_mode": "profiling",
    "profiling_options": "profiling_options",
    "iterations_per_loop": "iterations_per_loop",
    "graph_memory_max_size": "graph_memory_max_size",
    "variable_memory_max_size": "variable_memory_max_size",
}
_SET_BY_PROGRAM = ("use_off_line", "enable_data_pre_proc", "graph_run_mode")
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_WHOLE = re.compile("[+-]?[0-9]{1,18}")


def parse(texts: Sequence[str]) -> List[Tuple[str, str, Any]]:
    """The options that the values of `--npu_option` stand for.

    Args:
        texts: each KEY=VALUE.

    Returns:
        [(key, accessor, value)] as `devices.npu_options.parameters` has them.

    Raises:
        UserError: no such key, a key given twice, or a value of another type.
    """
    found: List[Tuple[str, str, Any]] = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise UserError(f"--npu_option: must be KEY=VALUE, not {text!r:.80}")
        if key not in OTHERS:
            raise UserError(f"--npu_option: {_answer_to(key)}")
        if key in [other for other, _, _ in found]:
            raise UserError(f"--npu_option: {key} is given twice")
        found.append((key, OTHERS[key], _value(key, value)))
    return found


def _answer_to(key: str) -> str:
    """What to do instead of giving a key that is not taken."""
    if key in _FLAGS:
        return f"{key} has a flag of its own, --{_FLAGS[key]}"
    if key in _SET_BY_PROGRAM:
        return f"{key} is set by the program itself"
    near = difflib.get_close_matches(key, [*OTHERS, *_FLAGS], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "docs/ascend.md lists the keys"
    return f"unknown key {key!r:.80}; {hint}"


def _value(key: str, text: str) -> Any:
    if OTHERS[key] == "s":
        return text
    if OTHERS[key] == "b":
        if text.lower() not in _TRUTHS:
            raise UserError(f"--npu_option: {key} must be True or False, not {text!r:.80}")
        return _TRUTHS[text.lower()]
    if not _WHOLE.fullmatch(text):
        raise UserError(f"--npu_option: {key} must be a whole number, not {text!r:.80}")
    return int(text)
