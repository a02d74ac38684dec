"""The options that only an Ascend NPU pays attention to; a part of `config.Config`."""

import dataclasses
from typing import Optional

from options import option

PRECISION_MODES = (
    "allow_mix_precision", "allow_fp32_to_fp16", "force_fp16", "must_keep_origin_dtype", "force_fp32",
    "cube_fp16in_fp32out", "allow_mix_precision_fp16", "allow_mix_precision_bf16", "allow_fp32_to_bf16",
)  # fmt: skip


# fmt: off
@dataclasses.dataclass(frozen=True)
class NpuOptions:
    """The NPU's session: see docs/ascend.md for the adapter's keys."""

    precision_mode: str = option("allow_mix_precision", "How precision may be lowered.", section="Ascend NPU",
        choices=PRECISION_MODES, npu_only=True)
    loss_scale: str = option("dynamic", "With a mode that computes in float16: dynamic, off or a number.",
        npu_only=True, high=40)
    modify_mixlist: Optional[str] = option(None, "The mixlist file, or off. The default is configs/ops_info.json.",
        path=True, words=("off",), npu_only=True, may_change=True)
    deterministic: str = option("auto", "The same results from the same run: on, off, or auto, which is on if --seed is "
        "given and the adapter has it. It costs speed.", choices=("auto", "on", "off"), npu_only=True, may_change=True)
    over_dump: bool = option(False, "Dump operators that overflow.", npu_only=True, may_change=True)
    over_dump_path: str = option("./overflow", "Where to.", path=True, npu_only=True, may_change=True, switch="over_dump")
    dump_debug_mode: str = option("all", "Which overflows.", choices=("all", "aicore_overflow", "atomic_overflow"),
        npu_only=True, may_change=True)
    data_dump_flag: bool = option(False, "Dump the operators' data.", npu_only=True, may_change=True)
    data_dump_step: str = option("10", "Of which steps, such as 0|5|10-20.", npu_only=True, may_change=True)
    data_dump_path: str = option("./data_dump", "Where to.", path=True, npu_only=True, may_change=True,
        switch="data_dump_flag")
    dump_mode: str = option("all", "Which data.", choices=("all", "input", "output"), npu_only=True, may_change=True)
    profiling_options: Optional[str] = option(None, "Profiling options as JSON.", npu_only=True, may_change=True)
    auto_tune_mode: Optional[str] = option(None, "Such as RL,GA.", npu_only=True, may_change=True,
        other_names=("autotune",))
    op_select_implmode: Optional[str] = option(None, "Which implementations.",
        choices=("high_precision", "high_performance"), npu_only=True, may_change=True)
    session_device_id: Optional[int] = option(None, "The device of this process.", low=0, high=1023,
        npu_only=True, may_change=True,
        other_names=("device_id",))
    graph_memory_max_size: Optional[int] = option(None, "Bytes for the graph.", low=1, high=1 << 50,
        npu_only=True, may_change=True)
    variable_memory_max_size: Optional[int] = option(None, "Bytes for variables.", low=1, high=1 << 50,
        npu_only=True, may_change=True)
    iterations_per_loop: int = option(1, "Training steps in one session run.", low=1, high=10**6,
        npu_only=True, may_change=True, same_on_all_ranks=True)
    # fmt: on
