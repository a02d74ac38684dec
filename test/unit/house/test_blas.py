"""NumPy's matrix products on processors that its OpenBLAS does not know."""

import subprocess
import sys

import pytest
from paths import ROOT

from system import blas

TEXT = "processor\t: 0\nvendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: 17\nflags\t\t: fpu {} end\n"


@pytest.mark.parametrize(
    "vendor, family, features, set_before, expected",
    [
        ("AuthenticAMD", 25, "avx2 fma", None, "Haswell"),
        ("AuthenticAMD", 26, "fma avx2", None, "Haswell"),
        ("AuthenticAMD", 25, "avx2 fma", "Zen", "Zen"),
        ("AuthenticAMD", 25, "avx2", None, None),
        ("AuthenticAMD", 23, "avx2 fma", None, None),
        ("GenuineIntel", 25, "avx2 fma", None, None),
    ],
)
def test_new_processors_of_amd_only(
    tmp_path, monkeypatch, vendor, family, features, set_before, expected
):
    (tmp_path / "cpuinfo").write_text(TEXT.format(vendor, family, features))
    monkeypatch.setattr(blas, "PROCESSOR", str(tmp_path / "cpuinfo"))
    monkeypatch.setattr(sys, "version_info", (3, 7, 16))
    monkeypatch.setattr(blas.os, "environ", {} if set_before is None else {blas.CORE: set_before})
    blas.use_fast_core()
    assert blas.os.environ.get(blas.CORE) == expected


@pytest.mark.parametrize("version, text", [((3, 8, 0), "25"), ((3, 7, 16), None)])
def test_newer_numpy_and_unknown_systems_are_left_alone(tmp_path, monkeypatch, version, text):
    monkeypatch.setattr(blas, "PROCESSOR", str(tmp_path / "cpuinfo"))
    if text:
        (tmp_path / "cpuinfo").write_text(TEXT.format("AuthenticAMD", text, "avx2 fma"))
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(blas.os, "environ", {})
    blas.use_fast_core()
    assert not blas.os.environ


def test_it_comes_before_numpy():
    """The variable has no effect on a NumPy that is there already."""
    code = "import sys, main; from system import blas; sys.exit('numpy' in sys.modules)"
    assert subprocess.call([sys.executable, "-c", code], cwd=ROOT) == 0
