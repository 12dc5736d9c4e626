"""A format that another package brings, in whatever takes formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.own_packages import MAIN, attempt, install, run


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    return install("plug_ins/a_format", tmp_path / "site")


@pytest.mark.several_seconds
def test_it_is_written_read_verified_mended_and_reported_on(
    installed: dict[str, str], tmp_path: Path
) -> None:
    making = (
        "--objects", "ape,cat", "--n", "6", "--adapter", "none", "--workers", "1",
        "--format", "bop,npz", "--out", "d",
    )  # fmt: skip
    run(MAIN, installed, tmp_path, *making)
    assert len(list((tmp_path / "d/npz/000000").glob("*.npz"))) == 6
    assert "as they were written" in run(MAIN, installed, tmp_path, "verify", "d")
    compare = (
        "import numpy as np, render_adapt\n"
        "for ours, bop in zip(*(render_adapt.load('d', name) for name in ('npz', 'bop'))):\n"
        "    for name, value in vars(ours).items():\n"
        "        np.testing.assert_array_equal(value, getattr(bop, name))\n"
        "print(bop.im_id)\n"
    )
    assert run(compare, installed, tmp_path).strip() == "5"
    crop = tmp_path / "d/npz/000000/000003.npz"
    before = crop.read_bytes()
    crop.write_bytes(before[:-1])
    run(MAIN, installed, tmp_path, "verify", "d", "--repair")
    assert crop.read_bytes() == before
    run(MAIN, installed, tmp_path, "report", "d")


@pytest.mark.several_seconds
def test_a_label_that_is_not_true_is_found_in_it(installed: dict[str, str], tmp_path: Path) -> None:
    run(
        MAIN, installed, tmp_path, "--objects", "ape", "--n", "2", "--adapter", "none",
        "--workers", "1", "--format", "npz", "--out", "d",
    )  # fmt: skip
    crop = tmp_path / "d/npz/000000/000001.npz"
    with np.load(crop) as file:
        stored = dict(file)
    stored["mask"] = ~stored["mask"]
    np.savez(crop, **stored)
    check = (
        "from pathlib import Path\n"
        "from tests.test_verify import sign_again\n"
        "from render_adapt import verify\n"
        "sign_again(Path('d'))\n"
        "print(*verify(Path('d'), workers=1).bad)\n"
    )
    assert "npz/000000/000001.npz" in run(check, installed, tmp_path)


def test_a_package_that_brings_something_else_is_named(
    installed: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "site/npz_crops.py").write_text("FORMAT = 3\n")
    done = attempt(MAIN, installed, tmp_path, "--objects", "ape", "--n", 1)
    assert done.returncode == 1
    assert "the format npz of npz_crops:FORMAT is no render_adapt.Format" in done.stderr
    assert not (tmp_path / "dataset").exists()
