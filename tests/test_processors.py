"""The same bytes on processors of other kinds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from render_adapt import FidelityScores
from tests.test_dataset import tree_hash

RUN = (
    "--objects", "ape,bowl,duck", "--n", "40", "--seed", "3", "--randomize", "linemod",
    "--workers", "1", "--min-fidelity", "0.3", "--format", "bop,bop-webdataset",
)  # fmt: skip
OTHERS = {
    "without AVX-512": {
        "OPENBLAS_CORETYPE": "Haswell",
        "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX512-ICL,AVX512-CLX,AVX512-COMMON",
        "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_ICL",
    },
    "OpenCV without AVX": {
        "OPENCV_CPU_DISABLE": "AVX2,AVX,FP16,AVX512-SKX,AVX512-ICL,AVX512-CLX,AVX512-COMMON",
    },
    "compiled for any": {"NUMBA_CPU_NAME": "x86-64"},
}


def made(out: Path, **environment: str) -> str:
    command = [sys.executable, "-m", "render_adapt", *RUN, "--out", str(out)]
    run = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return tree_hash(out)


def has_avx512() -> bool:
    info = Path("/proc/cpuinfo")
    return info.exists() and "avx512f" in info.read_text()


@pytest.mark.several_seconds
@pytest.mark.skipif(not has_avx512(), reason="needs a processor that can do what others cannot")
def test_processors_that_can_do_less_make_the_same_bytes(tmp_path: Path) -> None:
    expected = made(tmp_path / "this")
    for name, environment in OTHERS.items():
        cache = {"NUMBA_CACHE_DIR": str(tmp_path / "numba")} if "any" in name else {}
        assert made(tmp_path / name, **environment, **cache) == expected, name


def test_scores_have_as_many_digits_as_mean_something() -> None:
    values, unknown = np.array([0.123456, 0.0012345, 3.00449e-7, 1.0, np.nan]), np.full(5, np.nan)
    of_one_part = FidelityScores(values, unknown, unknown).fidelity
    np.testing.assert_array_equal(of_one_part, [0.123, 0.00123, 3e-7, 1.0, np.nan])
    least = [np.array([1e-300])] * 3
    np.testing.assert_array_equal(FidelityScores(*least).fidelity, [0.0])
    parts = [np.array([0.1234, np.nan]), np.array([0.5678, np.nan]), np.array([0.9, np.nan])]
    fidelity = FidelityScores(*parts).fidelity
    q = 0.1234 * 0.5678 * 0.9
    exact = q * (1 - np.log(q) + np.log(q) ** 2 / 2)
    np.testing.assert_array_equal(fidelity, [float(f"{exact:.3g}"), np.nan])
    # A last bit more or less, as other processors have it, changes nothing.
    for direction in (0.0, 1.0):
        nudged = [np.nextafter(part, direction) for part in parts]
        np.testing.assert_array_equal(FidelityScores(*nudged).fidelity, fidelity)
