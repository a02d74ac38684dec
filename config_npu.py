"""The options that only an Ascend NPU pays attention to; a part of `config.Config`."""

import dataclasses
from typing import Optional, Tuple

from options import option

PRECISION_MODES = (
    "allow_mix_precision", "allow_fp32_to_fp16", "force_fp16", "must_keep_origin_dtype", "force_fp32",
    "cube_fp16in_fp32out", "allow_mix_precision_fp16", "allow_mix_precision_bf16", "allow_fp32_to_bf16",
)  # fmt: skip
PRECISION_MODES_V2 = ("fp16", "origin", "cube_fp16in_fp32out", "mixed_float16", "mixed_bfloat16")


# fmt: off
@dataclasses.dataclass(frozen=True)
class NpuOptions:
    """The NPU's session: see docs/ascend.md for the adapter's keys."""

    precision_mode: str = option("allow_mix_precision", "The mode of mixed precision.", section="Ascend NPU",
        choices=PRECISION_MODES, npu_only=True, in_scripts="MODE")
    precision_mode_v2: Optional[str] = option(None, "The mode under its newer name, instead of --precision_mode.",
        choices=PRECISION_MODES_V2, npu_only=True, npu_accessor="s", replaces="precision_mode")
    loss_scale: str = option("dynamic", "Loss scale of a mode that computes in float16: dynamic, off or a number.",
        npu_only=True, in_scripts="SCALE", high=40)
    modify_mixlist: Optional[str] = option(None, "The mixlist file, or off. The default is configs/ops_info.json.",
        path=True, words=("off",), also_in="configs", npu_only=True, in_scripts="FILE", may_change=True)
    deterministic: str = option("auto", "Whether equal runs give equal results, at the cost of speed. auto is on if a seed "
        "is given or a run is resumed, and the adapter has the option.", choices=("auto", "on", "off"), npu_only=True, may_change=True)
    over_dump: bool = option(False, "Dump operators that overflow.", npu_only=True, npu_key="enable_dump_debug", in_scripts="True", may_change=True)
    over_dump_path: str = option("./overflow", "Folder of the overflow dump.", path=True, npu_only=True, npu_key="dump_path", in_scripts="DIR", may_change=True, switch="over_dump")
    dump_debug_mode: str = option("all", "Which overflows to look for.", choices=("all", "aicore_overflow", "atomic_overflow"),
        npu_only=True, may_change=True, switch="over_dump")
    data_dump_flag: bool = option(False, "Dump the operators' data.", npu_only=True, npu_key="enable_dump", in_scripts="True", may_change=True)
    data_dump_step: str = option("10", "Steps whose data is dumped, such as 0|5|10-20.", npu_only=True, npu_key="dump_step", in_scripts="STEPS", may_change=True, switch="data_dump_flag")
    data_dump_path: str = option("./data_dump", "Folder of the data dump.", path=True, npu_only=True, npu_key="dump_path", in_scripts="DIR", may_change=True,
        switch="data_dump_flag")
    dump_mode: str = option("all", "Whether to dump inputs, outputs or both.", choices=("all", "input", "output"), npu_only=True, may_change=True, switch="data_dump_flag")
    dump_data: Optional[str] = option(None, "Dump whole tensors or statistics of them.", choices=("tensor", "stats"),
        npu_only=True, npu_accessor="s", may_change=True)
    dump_layer: Optional[str] = option(None, "Operators to dump: their names, separated by blanks.", npu_only=True, npu_accessor="s", may_change=True)
    profiling_options: Optional[str] = option(None, "Profiling options as JSON.", npu_only=True, may_change=True, switch="profiling")
    auto_tune_mode: Optional[str] = option(None, "Auto tune mode, such as RL,GA.", npu_only=True, npu_accessor="s", may_change=True,
        other_names=("autotune",))
    op_select_implmode: Optional[str] = option(None, "Which implementations of operators to choose.",
        choices=("high_precision", "high_performance"), npu_only=True, npu_accessor="s", may_change=True)
    aoe_mode: Optional[str] = option(None, "AOE tuning, the successor of --auto_tune_mode: 1 subgraphs, 2 operators, 4 the split of gradients.",
        choices=("1", "2", "4"), npu_only=True, npu_accessor="s", may_change=True)
    op_precision_mode: Optional[str] = option(None, "The .ini file of operators' precision, the successor of --op_select_implmode.",
        path=True, npu_only=True, npu_accessor="s", may_change=True)
    customize_dtypes: Optional[str] = option(None, "The file of operators' data types.", path=True, npu_only=True, npu_accessor="s", may_change=True)
    jit_compile: Optional[str] = option(None, "Whether operators are compiled for their shapes.",
        choices=("true", "false", "auto"), npu_only=True, npu_accessor="s", may_change=True)
    op_compiler_cache_mode: Optional[str] = option(None, "The cache of compiled operators; force empties it first.",
        choices=("enable", "force", "disable"), npu_only=True, npu_accessor="s", may_change=True)
    op_compiler_cache_dir: Optional[str] = option(None, "Folder of the cache of compiled operators.", path=True, npu_only=True, npu_accessor="s", may_change=True)
    op_debug_config: Optional[str] = option(None, "The file of operator debugging options.", path=True, npu_only=True, npu_accessor="s", may_change=True)
    hcom_parallel: Optional[bool] = option(None, "Overlap collectives with the backward pass.", npu_only=True, npu_accessor="b", may_change=True)
    hccl_timeout: Optional[int] = option(None, "Seconds that a collective waits for the other ranks.", low=1, high=(1 << 31) - 1,
        npu_only=True, npu_accessor="i", may_change=True)
    npu_option: Tuple[str, ...] = option((), "KEY=VALUE: another session option; can be repeated. docs/ascend.md lists the keys.",
        npu_only=True, may_change=True)
    session_device_id: Optional[int] = option(None, "The device of this process. It wins over ASCEND_DEVICE_ID.", low=0, high=1023,
        npu_only=True, npu_accessor="i", may_change=True,
        other_names=("device_id",))
    graph_memory_max_size: Optional[int] = option(None, "Bytes of device memory for the graph.", low=1, high=1 << 50,
        npu_only=True, may_change=True)
    variable_memory_max_size: Optional[int] = option(None, "Bytes of device memory for variables.", low=1, high=1 << 50,
        npu_only=True, may_change=True)
    iterations_per_loop: int = option(1, "Training steps in one session run on the device.", low=1, high=10**6,
        npu_only=True, may_change=True, same_on_all_ranks=True)
    # fmt: on
