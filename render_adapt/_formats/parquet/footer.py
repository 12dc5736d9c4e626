"""What a Parquet file holds: its columns, and where they lie.

Source: github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from render_adapt._formats.parquet.thrift import CompactReader, Fields, text_of

_MAGIC = b"PAR1"
_MOST_FOOTER = 2**22
_REQUIRED, _OPTIONAL, _REPEATED = 0, 1, 2
_NO_KIND = -1
_TEXT, _ANOTHER = 0, -1
_LOGICAL_TEXT, _LOGICAL_PLAIN = 1, {10, 11}
"""Of logical types; the latter whole numbers, and what is null everywhere."""


@dataclass(frozen=True)
class Chunk:
    """A part of a column, of one group of rows."""

    values: int
    """Entries, those that are null among them."""
    unpacked: int
    """Bytes, as its pages are unpacked."""
    packed: int
    """Bytes, as they lie in the file."""
    codec: int
    start: int
    """Where its first page begins in the file."""


@dataclass(frozen=True)
class Column:
    """A column whose rows are values, or lists of values."""

    name: str
    kind: int
    """What its values are, as Parquet counts its physical types."""
    stands_for: int | None
    """What these are taken for, as Parquet counts its converted types; -1 where it has none."""
    deepest: int
    """The definition level of a value that is not null."""
    listed: int | None
    """The definition level from which on there is an entry of a list; None where rows are no
    lists."""
    chunks: tuple[Chunk, ...]


def read_footer(content: bytes) -> list[Column]:
    """The columns of a Parquet file, in their order.

    Raises:
        ValueError: it is damaged, or has columns that are neither values nor lists of values.
    """
    size = int.from_bytes(content[-8:-4], "little")
    if content[:4] != _MAGIC or content[-4:] != _MAGIC or not 0 < size <= len(content) - 12:
        raise ValueError("it is no Parquet file, or only a part of one")
    if size > _MOST_FOOTER:
        raise ValueError("its Parquet footer is larger than that of an index")
    footer = CompactReader(content[-8 - size : -8]).structure()
    schema = _list_of(footer, 2)
    if not schema:
        raise ValueError("its Parquet footer has no columns")
    chunks = _chunks_by_column([_list_of(group, 1) for group in _list_of(footer, 4)])
    columns: list[Column] = []
    place = 1
    for _ in range(_number(schema[0], 5, 0)):
        leaf = len(columns)
        column, place = _column(schema, place, chunks[leaf] if leaf < len(chunks) else ())
        columns.append(column)
    if len({column.name for column in columns}) < len(columns) or place != len(schema):
        raise ValueError("its Parquet footer has columns twice, or parts of none")
    return columns


def _column(schema: Sequence[Fields], place: int, chunks: tuple[Chunk, ...]) -> tuple[Column, int]:
    """The column whose parts begin at a place of the schema, and the place behind it."""
    name = _text(_element(schema, place), 4)
    level, listed = 0, None
    while True:
        part = _element(schema, place)
        place += 1
        repetition = _number(part, 3, _REQUIRED)
        level += repetition in (_OPTIONAL, _REPEATED)
        if repetition == _REPEATED:
            if listed is not None:
                raise ValueError(f"its column {name} has lists of lists, as no index has")
            listed = level
        children = _number(part, 5, 0)
        if children == 0:
            stands_for = _stands_for(_structure(part, 10), part.get(6))
            kind = _number(part, 1, _NO_KIND)
            return Column(name, kind, stands_for, level, listed, chunks), place
        if children != 1:
            raise ValueError(f"its column {name} has columns of its own, as no index has")


def _stands_for(logical: Fields, converted: int | None) -> int | None:
    """By the newer way to say it, where that is used, and else by the older."""
    if _LOGICAL_TEXT in logical:
        return _TEXT
    if logical and not _LOGICAL_PLAIN & logical.keys():
        return _ANOTHER
    return converted


def _chunks_by_column(groups: Sequence[Sequence[Fields]]) -> list[tuple[Chunk, ...]]:
    if len({len(group) for group in groups}) > 1:
        raise ValueError("its Parquet footer has groups of rows with other columns")
    return [tuple(map(_chunk, column)) for column in zip(*groups, strict=True)]


def _chunk(column: Fields) -> Chunk:
    about = _structure(column, 3)
    start = _number(about, 9)
    # The dictionary, where there is one, lies before what refers to it.
    dictionary = _number(about, 11, 0)
    if 0 < dictionary < start:
        start = dictionary
    return Chunk(_number(about, 5), _number(about, 6), _number(about, 7), _number(about, 4), start)


def _element(schema: Sequence[Fields], place: int) -> Fields:
    if place >= len(schema) or not isinstance(schema[place], dict):
        raise ValueError("its Parquet footer has columns without an end")
    return schema[place]


def _number(fields: Any, number: int, default: int | None = None) -> int:
    value = fields.get(number, default) if isinstance(fields, dict) else None
    if not isinstance(value, int) or value < min(default or 0, 0):
        raise ValueError("its Parquet footer is damaged")
    return value


def _structure(fields: Any, number: int) -> Fields:
    value = fields.get(number, {}) if isinstance(fields, dict) else None
    if not isinstance(value, dict):
        raise ValueError("its Parquet footer is damaged")
    return value


def _list_of(fields: Any, number: int) -> list[Any]:
    value = fields.get(number, []) if isinstance(fields, dict) else None
    if not isinstance(value, list):
        raise ValueError("its Parquet footer is damaged")
    return value


def _text(fields: Fields, number: int) -> str:
    value = fields.get(number)
    if not isinstance(value, bytes):
        raise ValueError("its Parquet footer is damaged")
    return text_of(value)
