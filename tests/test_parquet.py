"""Parquet files as arrays, with pyarrow and, as in Blender's Python, without."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from render_adapt import DatasetError, RunConfig, generate, load

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


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("small") / "dataset"
    generate(RunConfig(objects=("ape",), n=3, adapter="none", workers=1, out=out))
    return out


@pytest.fixture
def dataset(small: Path, tmp_path: Path) -> Path:
    """A dataset of three crops, whose index is to be written."""
    return Path(shutil.copytree(small, tmp_path / "dataset"))


def write(dataset: Path, columns: Mapping[str, pyarrow.Array], **options: str) -> Path:
    file = dataset / "index/000000.parquet"
    parquet.write_table(pyarrow.table(columns), file, **options)
    return file


def keys(count: int) -> dict[str, pyarrow.Array]:
    """Whose rows they are."""
    return {
        "scene_id": pyarrow.array(np.zeros(count, np.int64)),
        "im_id": pyarrow.array(np.arange(count)),
    }


@pytest.fixture(params=[True, False], ids=["pyarrow", "arro3"])
def with_pyarrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    return bool(request.param)


def test_columns_are_arrays(with_pyarrow: bool, dataset: Path) -> None:
    columns = dict(reversed(keys(3).items())) | COLUMNS
    write(dataset, columns)
    read = load(dataset).columns
    assert list(read) == list(columns)
    assert load(dataset).shards == [0]
    np.testing.assert_array_equal(read["whole"], [1, 2, 3])
    assert read["whole"].dtype.kind == "i"
    np.testing.assert_array_equal(read["score"], [0.5, np.nan, 1.5])
    assert np.isnan(read["unknown"].astype(np.float64)).all()
    assert read["name"].tolist() == ["ape", "cat", "duck"]
    assert read["name"].dtype == object
    np.testing.assert_array_equal(read["pose"], [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(read["box"], [[1, 2]] * 3)
    assert [row.tolist() for row in read["lights"]] == [[1], [], [2, 3]]


def test_a_column_that_is_needed_and_not_there_is_named(with_pyarrow: bool, dataset: Path) -> None:
    write(dataset, {"scene_id": keys(3)["scene_id"]} | COLUMNS)
    with pytest.raises(DatasetError, match=r"damaged \(it has no column im_id\)"):
        load(dataset)


def test_a_damaged_file_is_refused(dataset: Path) -> None:
    file = write(dataset, keys(3) | COLUMNS)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DatasetError, match=r"damaged \(.*[Pp]arquet"):
        load(dataset)


@pytest.mark.parametrize(
    "column",
    [
        pyarrow.array(np.zeros(2**24, bool)),
        pyarrow.DictionaryArray.from_arrays(np.zeros(250, np.int32), ["a" * 2**24]),
    ],
    ids=["many values", "a long value many times"],
)
def test_a_small_file_that_unpacks_to_gigabytes_is_refused(
    dataset: Path, column: pyarrow.Array
) -> None:
    file = write(dataset, {"x": column}, compression="zstd")
    assert file.stat().st_size < 2**20
    with pytest.raises(DatasetError, match="unpacks to more than an index has"):
        load(dataset)


def test_the_longest_index_of_ours_is_far_from_the_limit(dataset: Path) -> None:
    random = np.random.default_rng(0)
    columns = {
        **keys(250),
        **{str(k): pyarrow.array(random.random(250)) for k in range(30)},
        "boxes": pyarrow.array(list(random.random((250, 16)))),
        "lights": pyarrow.array(list(random.random((250, 24)))),
        "name": pyarrow.array([bytes(random.bytes(32)).hex() for _ in range(250)]),
    }
    write(dataset, columns)
    assert len(load(dataset).columns) == 35
