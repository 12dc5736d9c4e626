"""Reads Parquet files as arrays.

In Python, so that a damaged file is an error like any other, in Blender too: arro3, which writes
indexes, ends the process of who reads some of them, and pyarrow is larger than all else here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render_adapt._formats.parquet.footer import Column, read_footer
from render_adapt._formats.parquet.pages import Entries, read_entries
from safe_files import read_file

_MOST_BYTES = 2**26
_MOST_UNPACKED = 2**31
"""Bytes of a shard's index, counted as `_refuse_large` does; of 250 crops it is a tenth of this."""
_AN_ENTRY = 256
"""Bytes that an entry may take by itself: those that are null take none in the file."""


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
    there = {column.name: column for column in read_footer(content)}
    _refuse_large(there.values())
    missing = [name for name in names or () if name not in there]
    if missing:
        raise ValueError(f"it has no column {', '.join(missing)}")
    wanted = there if names is None else names
    columns = {name: _as_array(read_entries(content, there[name]), there[name]) for name in wanted}
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError("its columns in the Parquet file have unequal numbers of rows")
    return columns


def are_of_shard(columns: Mapping[str, NDArray[Any]], shard: int) -> bool:
    """Whether an index's crops are images 0, 1 and so on of the shard's scene.

    Others would lead a reader to files that belong to no shard.

    Args:
        columns: with `scene_id` and `im_id`.
        shard: its number.
    """
    images = np.arange(len(columns["im_id"]))
    return bool((columns["scene_id"] == shard).all() and (columns["im_id"] == images).all())


def _refuse_large(columns: Iterable[Column]) -> None:
    """Refuse what a small file may unpack to.

    A value that is repeated takes it a few bytes, however long the value: so a column may take as
    much as its values are many times all that it holds.
    """
    chunks = [chunk for column in columns for chunk in column.chunks]
    if sum((chunk.unpacked + _AN_ENTRY) * chunk.values for chunk in chunks) > _MOST_UNPACKED:
        raise ValueError("it unpacks to more than an index has")


def _as_array(entries: Entries, column: Column) -> NDArray[Any]:
    there = entries.definition == column.deepest
    if column.listed is None:
        return _with_nulls(entries.values, there)
    begins = np.flatnonzero(entries.repetition == 0)
    if len(entries.repetition) and entries.repetition[0] != 0:
        raise ValueError(f"its column {column.name} begins within a list")
    is_entry = entries.definition >= column.listed
    lengths = np.add.reduceat(is_entry, begins, dtype=np.int64) if len(begins) else begins
    values = _with_nulls(entries.values, there[is_entry])
    if len(np.unique(lengths)) == 1:
        return values.reshape(len(begins), -1)
    rows = np.empty(len(begins), object)
    rows[:] = np.split(values, np.cumsum(lengths)[:-1]) if len(begins) else []
    return rows


def _with_nulls(values: NDArray[Any], there: NDArray[np.bool_]) -> NDArray[Any]:
    """Values, and in places where there is none NaN, or None among texts."""
    if there.all():
        return values
    if values.dtype.kind in "iuf":
        kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
        filled: NDArray[Any] = np.full(len(there), np.nan, kind)
    else:
        filled = np.full(len(there), None, object)
    filled[there] = values
    return filled
