"""Parquet files as arrays, with pyarrow and, as in Blender's Python, without."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from render_adapt._formats.parquet import read_columns

COLUMNS = {
    "whole": pyarrow.array([1, 2, 3], pyarrow.int32()),
    "score": pyarrow.array([0.5, None, 1.5]),
    "unknown": pyarrow.array([None, None, None], pyarrow.float64()),
    "name": pyarrow.array(["ape", "cat", "duck"]),
    "adapter": pyarrow.array(["a", None, "b"]),
    "pose": pyarrow.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
    "box": pyarrow.array([[1, 2]] * 3, pyarrow.list_(pyarrow.int32(), 2)),
    "lights": pyarrow.array([[1.0], [], [2.0, 3.0]]),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    parquet.write_table(pyarrow.table(COLUMNS), tmp_path / "x.parquet")
    return tmp_path / "x.parquet"


@pytest.fixture(params=[True, False], ids=["pyarrow", "arro3"])
def with_pyarrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    return bool(request.param)


def test_columns_are_arrays(with_pyarrow: bool, file: Path) -> None:
    read = read_columns(file, inside=file.parent)
    assert list(read) == list(COLUMNS)
    np.testing.assert_array_equal(read["whole"], [1, 2, 3])
    assert read["whole"].dtype.kind == "i"
    np.testing.assert_array_equal(read["score"], [0.5, np.nan, 1.5])
    assert np.isnan(read["unknown"].astype(np.float64)).all()
    assert read["name"].tolist() == ["ape", "cat", "duck"]
    assert read["name"].dtype == object
    np.testing.assert_array_equal(read["pose"], [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(read["box"], [[1, 2]] * 3)
    assert [row.tolist() for row in read["lights"]] == [[1], [], [2, 3]]


def test_some_columns(with_pyarrow: bool, file: Path) -> None:
    assert list(read_columns(file, ["pose", "whole"], inside=file.parent)) == ["pose", "whole"]
    with pytest.raises(ValueError, match="age"):
        read_columns(file, ["whole", "age"], inside=file.parent)


def test_a_damaged_file_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"[Pp]arquet"):
        read_columns(file, inside=file.parent)


@pytest.mark.parametrize(
    "column",
    [
        pyarrow.array(np.zeros(2**24, bool)),
        pyarrow.DictionaryArray.from_arrays(np.zeros(250, np.int32), ["a" * 2**24]),
    ],
    ids=["many values", "a long value many times"],
)
def test_a_small_file_that_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, column: pyarrow.Array
) -> None:
    file = tmp_path / "x.parquet"
    parquet.write_table(pyarrow.table({"x": column}), file, compression="zstd")
    assert file.stat().st_size < 2**20
    with pytest.raises(ValueError, match="unpacks to more than an index has"):
        read_columns(file, inside=tmp_path)


def test_the_longest_index_of_ours_is_far_from_the_limit(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    columns = {
        **{str(k): pyarrow.array(random.random(250)) for k in range(30)},
        "boxes": pyarrow.array(list(random.random((250, 16)))),
        "lights": pyarrow.array(list(random.random((250, 24)))),
        "name": pyarrow.array([bytes(random.bytes(32)).hex() for _ in range(250)]),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "x.parquet")
    assert len(read_columns(tmp_path / "x.parquet", inside=tmp_path)) == 33
