"""Parquet files that pyarrow wrote, as arrays."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from render_adapt import DatasetError, RunConfig, generate, load
from render_adapt._formats.parquet.columns import read_columns

COLUMNS = {
    "whole": pyarrow.array([1, 2, 3], pyarrow.int32()),
    "score": pyarrow.array([0.5, None, 1.5]),
    "unknown": pyarrow.array([None, None, None], pyarrow.float64()),
    "name": pyarrow.array(["ape", "cat", "duck"]),
    "adapter": pyarrow.array(["a", None, "b"]),
    "pose": pyarrow.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
    "box": pyarrow.array([[1, 2]] * 3, pyarrow.list_(pyarrow.int32(), 2)),
    "lights": pyarrow.array([[1.0], [], [2.0, 3.0]]),
    "seen": pyarrow.array([True, False, True]),
    "some": pyarrow.array([7, None, 9]),
    "none": pyarrow.array([[], [], []], pyarrow.list_(pyarrow.int32())),
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


def write(dataset: Path, columns: Mapping[str, pyarrow.Array], **options: Any) -> Path:
    file = dataset / "index/000000.parquet"
    parquet.write_table(pyarrow.table(columns), file, **options)
    return file


def keys(count: int) -> dict[str, pyarrow.Array]:
    """Whose rows they are."""
    return {
        "scene_id": pyarrow.array(np.zeros(count, np.int64)),
        "im_id": pyarrow.array(np.arange(count)),
    }


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "gzip", "data_page_version": "2.0"},
        {"compression": "none", "use_dictionary": False},
        {"row_group_size": 2, "data_page_version": "2.0"},
        {"row_group_size": 1, "version": "1.0", "use_dictionary": ["pose", "name"]},
    ],
    ids=["usual", "gzip", "plain", "groups", "old"],
)
def test_columns_are_arrays(options: dict[str, Any], dataset: Path) -> None:
    columns = dict(reversed(keys(3).items())) | COLUMNS
    write(dataset, columns, **options)
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
    assert read["adapter"].tolist() == ["a", None, "b"]
    assert read["seen"].tolist() == [True, False, True]
    np.testing.assert_array_equal(read["some"], [7, np.nan, 9])
    assert [row.tolist() for row in read["none"]] == [[], [], []]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_pyarrow_reads_of_its_own_files_is_read(data: st.DataObject) -> None:
    kinds = {
        pyarrow.int32(): st.integers(-(2**31), 2**31 - 1),
        pyarrow.int64(): st.integers(-(2**63), 2**63 - 1),
        pyarrow.float64(): st.floats(allow_nan=False),
        pyarrow.string(): st.text(max_size=9),
        pyarrow.bool_(): st.booleans(),
    }
    kind = data.draw(st.sampled_from(list(kinds)))
    some = st.one_of(kinds[kind], st.sampled_from([data.draw(kinds[kind])]))
    rows = data.draw(st.lists(st.lists(some, max_size=9), min_size=1, max_size=70))
    columns = {
        "lists": pyarrow.array(rows, pyarrow.list_(kind)),
        "values": pyarrow.array([row[0] if row else None for row in rows], kind),
    }
    options = {
        "compression": data.draw(st.sampled_from(["snappy", "gzip", "none"])),
        "data_page_version": data.draw(st.sampled_from(["1.0", "2.0"])),
        "use_dictionary": data.draw(st.booleans()),
        "row_group_size": data.draw(st.integers(1, 70)),
    }
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "file.parquet"
        parquet.write_table(pyarrow.table(columns), file, **options)
        read = read_columns(file, inside=Path(name))
    assert [row.tolist() for row in read["lists"]] == rows
    for found, row in zip(read["values"], rows, strict=True):
        expected = row[0] if row else None
        if expected is None:
            assert found is None or np.isnan(found)
        elif read["values"].dtype.kind == "f":
            assert found == float(expected)
        else:
            assert found == expected


def test_a_column_that_is_needed_and_not_there_is_named(dataset: Path) -> None:
    write(dataset, {"scene_id": keys(3)["scene_id"]} | COLUMNS)
    with pytest.raises(DatasetError, match=r"damaged \(it has no column im_id\)"):
        load(dataset)


def test_a_damaged_file_is_refused(dataset: Path) -> None:
    file = write(dataset, keys(3) | COLUMNS)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DatasetError, match=r"damaged \(.*[Pp]arquet"):
        load(dataset)


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ({}, {"compression": "zstd"}, "packed by Zstandard, and an index by Snappy, gzip or"),
        ({"x": pyarrow.array([[[1]]] * 3)}, {}, "column x has lists of lists"),
        ({"x": pyarrow.array([{"a": 1, "b": 2}] * 3)}, {}, "column x has columns of its own"),
        ({"x": pyarrow.array([0] * 3, pyarrow.timestamp("ms"))}, {}, "of a kind that no index has"),
    ],
    ids=["packed", "deep", "wide", "time"],
)
def test_what_no_index_has_is_named(
    dataset: Path, columns: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    write(dataset, keys(3) | COLUMNS | columns, **options)
    with pytest.raises(DatasetError, match=words):
        _ = load(dataset).columns


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
    file = write(dataset, {"x": column}, compression="gzip")
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
