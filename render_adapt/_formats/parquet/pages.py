"""The values of a column, page by page.

Source: parquet.apache.org/docs/file-format (encodings, data pages)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render_adapt._formats.parquet.footer import Chunk, Column
from render_adapt._formats.parquet.thrift import CompactReader, Fields, read_varint, text_of
from render_adapt._formats.parquet.unpacking import unpack

_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3
_PLAIN, _OLD_DICTIONARY, _RUNS, _BY_DICTIONARY = 0, 2, 3, 8
_BOOLEAN, _TEXT = 0, 6
_NUMBERS = {1: "<i4", 2: "<i8", 4: "<f4", 5: "<f8"}
_UNSIGNED = {13: "<u4", 14: "<u8"}
"""Of what numbers are taken for."""
_AS_THEY_ARE = (None, 0, 11, 12, 13, 14, 15, 16, 17, 18)
"""What values may be taken for without another meaning: text, and whole numbers of all widths."""


@dataclass(frozen=True)
class Entries:
    """What a page, or a whole column, holds."""

    values: NDArray[Any]
    """(V,), those that are not null."""
    definition: NDArray[np.int64]
    """(E,), the definition level of each entry."""
    repetition: NDArray[np.int64]
    """(E,), 0 where an entry begins a row."""


def read_entries(content: bytes, column: Column) -> Entries:
    """All entries of a column.

    Raises:
        ValueError: it is damaged, or of a kind that no index has.
    """
    numeric = column.kind in _NUMBERS or column.kind == _BOOLEAN
    if not (numeric or column.kind == _TEXT) or column.stands_for not in _AS_THEY_ARE:
        raise ValueError(f"its column {column.name} is of a kind that no index has")
    parts = [part for chunk in column.chunks for part in _pages(content, column, chunk)]
    empty = np.empty(0, np.int64)
    return Entries(
        np.concatenate([part.values for part in parts] or [empty]),
        np.concatenate([part.definition for part in parts] or [empty]),
        np.concatenate([part.repetition for part in parts] or [empty]),
    )


def _pages(content: bytes, column: Column, chunk: Chunk) -> Iterator[Entries]:
    """Entries of a chunk, whose pages hold no more than it says."""
    reader = CompactReader(content, chunk.start)
    dictionary: NDArray[Any] | None = None
    entries, unpacked, end = 0, 0, chunk.start + chunk.packed
    while entries < chunk.values:
        header = reader.structure()
        kind, size, packed = (_number(header, number) for number in (1, 2, 3))
        unpacked += size
        if unpacked > chunk.unpacked or reader.place + packed > min(end, len(content)):
            raise ValueError(f"its column {column.name} is larger than the file says")
        page = content[reader.place : reader.place + packed]
        reader.place += packed
        if kind == _DICTIONARY:
            count = _number(_structure(header, 7), 1)
            dictionary = _plain(unpack(page, chunk.codec, size), column, count)
        elif kind in (_DATA, _DATA_2):
            most = chunk.values - entries
            part = _Page(header, page, chunk.codec, size, column, most).entries(dictionary)
            entries += len(part.definition)
            yield part


class _Page:
    """A page of data, of either version."""

    def __init__(
        self, header: Fields, page: bytes, codec: int, size: int, column: Column, most: int
    ) -> None:
        self._column = column
        if header.get(1) == _DATA:
            about = _structure(header, 5)
            self._encoding = _number(about, 2)
            content = unpack(page, codec, size)
            self._count = self._checked(_number(about, 1), most)
            # Levels are there where they can differ, after their length.
            self._levels, self._content = {}, content
            for name, highest in (("repetition", self._rows_are_lists), ("definition", self._deep)):
                if highest:
                    length = int.from_bytes(self._content[:4], "little")
                    self._levels[name] = self._content[4 : 4 + length]
                    self._content = self._content[4 + length :]
            return
        about = _structure(header, 8)
        self._encoding = _number(about, 4)
        self._count = self._checked(_number(about, 1), most)
        first, second = _number(about, 6), _number(about, 5)
        rest = page[first + second :]
        self._levels = {"repetition": page[:first], "definition": page[first : first + second]}
        is_packed = about.get(7, True)
        self._content = unpack(rest, codec if is_packed else 0, max(size - first - second, 0))

    @property
    def _rows_are_lists(self) -> int:
        return int(self._column.listed is not None)

    @property
    def _deep(self) -> int:
        return self._column.deepest

    def _checked(self, count: int, most: int) -> int:
        if not 0 < count <= most:
            raise ValueError(f"its column {self._column.name} has other entries than it says")
        return count

    def entries(self, dictionary: NDArray[Any] | None) -> Entries:
        """What the page holds.

        Args:
            dictionary: what its values may refer to.
        """
        definition = self._read_levels("definition", self._deep)
        repetition = self._read_levels("repetition", self._rows_are_lists)
        there = int((definition == self._deep).sum())
        return Entries(self._values(there, dictionary), definition, repetition)

    def _read_levels(self, name: str, highest: int) -> NDArray[np.int64]:
        if not highest:
            return np.zeros(self._count, np.int64)
        levels = _runs(self._levels[name], highest.bit_length(), self._count)
        if levels.max(initial=0) > highest:
            raise ValueError(f"its column {self._column.name} has levels that it cannot have")
        return levels

    def _values(self, count: int, dictionary: NDArray[Any] | None) -> NDArray[Any]:
        if self._encoding == _PLAIN:
            return _plain(self._content, self._column, count)
        if self._encoding == _RUNS and self._column.kind == _BOOLEAN:
            return _runs(self._content[4:], 1, count).astype(bool)
        if self._encoding not in (_OLD_DICTIONARY, _BY_DICTIONARY) or dictionary is None:
            raise ValueError(f"its column {self._column.name} is encoded as that of no index")
        if not count:
            return dictionary[:0]
        places = _runs(self._content[1:], self._content[0] if self._content else 64, count)
        if places.max(initial=0) >= len(dictionary):
            raise ValueError(f"its column {self._column.name} refers to values that are not there")
        return np.asarray(dictionary[places])


def _plain(content: bytes, column: Column, count: int) -> NDArray[Any]:
    """So many values, one after the other."""
    if column.kind == _TEXT:
        return _texts(content, column, count)
    if column.kind == _BOOLEAN:
        bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
        values: NDArray[Any] = bits[:count].astype(bool)
    else:
        kind = np.dtype(_UNSIGNED.get(column.stands_for or 0, _NUMBERS[column.kind]))
        values = np.frombuffer(content[: count * kind.itemsize], kind)
    if len(values) != count:
        raise ValueError(f"its column {column.name} has fewer values than it says")
    return values


def _texts(content: bytes, column: Column, count: int) -> NDArray[Any]:
    values = np.empty(count if count <= len(content) else 0, object)
    place = 0
    for number in range(count):
        start = place + 4
        place = start + int.from_bytes(content[place:start], "little")
        if place > len(content) or start > len(content):
            raise ValueError(f"its column {column.name} has fewer values than it says")
        value = content[start:place]
        values[number] = text_of(value) if column.stands_for == 0 else value
    return values


def _runs(content: bytes, width: int, count: int) -> NDArray[np.int64]:
    """So many whole numbers of `width` bits: runs of one number, or eight and eight of any."""
    if width > 32:
        raise ValueError("a page of the Parquet file has numbers that are too wide")
    numbers = np.zeros(count, np.int64)
    powers = 1 << np.arange(width, dtype=np.int64)
    filled = place = 0
    while filled < count and width:
        header, place = read_varint(content, place)
        if header & 1:
            length = min((header >> 1) * width, len(content) - place)
            bits = np.unpackbits(np.frombuffer(content, np.uint8, length, place), bitorder="little")
            run = (bits[: len(bits) // width * width].reshape(-1, width) @ powers)[: count - filled]
            end = filled + len(run)
            numbers[filled:end] = run
            place += length
        else:
            wide = (width + 7) // 8
            end = filled + min(header >> 1, count - filled)
            numbers[filled:end] = int.from_bytes(content[place : place + wide], "little")
            place += wide
        if end == filled:
            raise ValueError("a page of the Parquet file ends too soon")
        filled = end
    return numbers


def _number(fields: Fields, number: int) -> int:
    value = fields.get(number)
    if not isinstance(value, int) or value < 0:
        raise ValueError("a page of the Parquet file is damaged")
    return value


def _structure(fields: Fields, number: int) -> Fields:
    value = fields.get(number)
    if not isinstance(value, dict):
        raise ValueError("a page of the Parquet file is damaged")
    return value
