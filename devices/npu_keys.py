"""The keys of the NPU's session: those that options set, and the flag `--npu_option KEY=VALUE`.

The adapter silently ignores an unknown key or a value under the wrong accessor, so the keys that
`--npu_option` takes are listed here, as the adapter's `npu_attrs.cc` reads them.
"""

import difflib
import re
from typing import Any, Dict, List, Sequence, Tuple

from config import OPTIONS, Config
from options import UserError

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
_SET_BY_PROGRAM = ("use_off_line", "enable_data_pre_proc", "graph_run_mode")
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_WHOLE = re.compile("[+-]?[0-9]{1,18}")


def sent_as_given(config: Config) -> Dict[str, str]:
    """name -> accessor of the options that the session gets as they were given."""
    return {
        name: option.declared.npu_accessor
        for name, option in OPTIONS.items()
        if option.declared.npu_accessor and getattr(config, name) is not None
    }


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
    flags = _flags_by_key()
    if key in flags:
        return f"{key} has a flag of its own, {' or '.join(flags[key])}"
    if key in _SET_BY_PROGRAM:
        return f"{key} is set by the program itself"
    near = difflib.get_close_matches(key, [*OTHERS, *flags], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "docs/ascend.md lists the keys"
    return f"unknown key {key!r:.80}; {hint}"


def _flags_by_key() -> Dict[str, List[str]]:
    """The keys that other flags set, with these flags."""
    found: Dict[str, List[str]] = {}
    for name, option in OPTIONS.items():
        if option.declared.npu_only or option.declared.npu_key:
            found.setdefault(option.declared.npu_key or name, []).append(f"--{option.flag}")
    return found


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
