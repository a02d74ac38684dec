"""How NumPy's matrix products are computed: old OpenBLAS takes new AMD processors for those of 2007."""

import os
import re
import sys

PROCESSOR = "/proc/cpuinfo"
CORE = "OPENBLAS_CORETYPE"
ZEN_3 = 25  # the family of the first processors that OpenBLAS 0.3.7 does not know


def use_fast_core() -> None:
    """Chooses OpenBLAS's kernels for AVX2 where it would choose those for SSE3.

    Seen: the OpenBLAS 0.3.7 of NumPy 1.18, the last for TensorFlow 1.15, on an AMD EPYC of Zen 4: 37
    instead of 95 GFLOP/s a core. A value in the environment is kept. This has an effect only before
    NumPy is imported.
    """
    if sys.version_info < (3, 8) and _is_new_amd():
        os.environ.setdefault(CORE, "Haswell")


def _is_new_amd() -> bool:
    try:
        with open(PROCESSOR, encoding="utf-8", errors="replace") as file:
            text = file.read(1 << 14)
    except OSError:
        return False
    family = re.search(r"^cpu family\s*: (\d+)$", text, re.MULTILINE)
    return (
        family is not None
        and int(family.group(1)) >= ZEN_3
        and "AuthenticAMD" in text
        and {"avx2", "fma"} <= set(text.split())
    )
