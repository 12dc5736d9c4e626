"""Reads Parquet files as arrays."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_files import read_file

_MOST_BYTES = 2**26
_MOST_UNPACKED = 2**31
"""Bytes of a shard's index, counted as `_refuse_large` does; of 250 crops it is a tenth of this."""


def read_columns(
    file: Path, names: Sequence[str] | None = None, *, inside: Path
) -> dict[str, NDArray[Any]]:
    """Columns of a Parquet file, all or those named, each with N rows.

    Numbers are as they are, NaN where they are null; lists of one length are (N, length); all else
    are objects.

    Args:
        file: the file.
        names: of the columns.
        inside: the folder that it must lie in.

    Raises:
        ValueError: it is damaged, larger than an index is, or has no such column.
        OSError: it cannot be read.
    """
    content = read_file(file, most=_MOST_BYTES, inside=inside)
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        # Blender's Python has no pyarrow. It reads what it has just written itself: files from
        # elsewhere, which may be damaged, are better looked at with pyarrow, which says so calmly.
        return _selected(_read_with_arro3(content), names)
    try:
        opened = parquet.ParquetFile(pyarrow.BufferReader(content))
        _refuse_large(opened.metadata)
        table = opened.read(columns=None if names is None else list(names))
    except pyarrow.ArrowException as error:
        raise ValueError(" ".join(str(error).split())[:200]) from None
    columns = {
        name: _as_array(
            column.combine_chunks(),
            isinstance(column.type, pyarrow.ListType | pyarrow.FixedSizeListType),
        )
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return _selected(columns, names)


def are_of_shard(columns: Mapping[str, NDArray[Any]], shard: int) -> bool:
    """Whether an index's crops are images 0, 1 and so on of the shard's scene.

    Others would lead a reader to files that belong to no shard.

    Args:
        columns: with `scene_id` and `im_id`.
        shard: its number.
    """
    images = np.arange(len(columns["im_id"]))
    return bool((columns["scene_id"] == shard).all() and (columns["im_id"] == images).all())


def _selected(
    columns: dict[str, NDArray[Any]], names: Sequence[str] | None
) -> dict[str, NDArray[Any]]:
    if names is None:
        return columns
    missing = [name for name in names if name not in columns]
    if missing:
        raise ValueError(f"it has no column {', '.join(missing)}")
    return {name: columns[name] for name in names}


def _as_array(column: Any, is_list: bool) -> NDArray[Any]:
    if not is_list:
        return np.asarray(column.to_numpy(zero_copy_only=False))
    lengths = np.unique(column.value_lengths().to_numpy(zero_copy_only=False))
    if len(lengths) == 1 and column.null_count == 0:
        values = column.flatten().to_numpy(zero_copy_only=False)
        return np.asarray(values.reshape(len(column), -1))
    return _objects([np.array(row) for row in column.to_pylist()])


def _refuse_large(metadata: Any) -> None:
    """Refuse what a small file may unpack to.

    A value that is repeated takes it a few bytes, however long the value: so a column may take as
    much as its values are many times all that it holds.
    """
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    sizes = (max(chunk.total_uncompressed_size, 0) * max(chunk.num_values, 0) for chunk in chunks)
    if sum(sizes) > _MOST_UNPACKED:
        raise ValueError("it unpacks to more than an index has")


def _read_with_arro3(content: bytes) -> dict[str, NDArray[Any]]:
    from arro3.io import read_parquet

    table = read_parquet(io.BytesIO(content)).read_all()
    return {name: _from_list(table.column(name).to_pylist()) for name in table.column_names}


def _from_list(rows: list[Any]) -> NDArray[Any]:
    filled = [np.nan if row is None else row for row in rows]
    if all(isinstance(row, int | float) for row in filled):
        return np.array(filled)
    if all(isinstance(row, list) for row in rows) and len({len(row) for row in rows}) == 1:
        return np.array(rows)
    return _objects([np.array(row) if isinstance(row, list) else row for row in rows])


def _objects(rows: list[Any]) -> NDArray[Any]:
    array = np.empty(len(rows), object)
    array[:] = rows
    return array
