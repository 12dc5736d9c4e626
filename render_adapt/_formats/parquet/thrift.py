"""Thrift's compact protocol, which Parquet's footers and page headers are written in.

Source: github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import struct
from typing import Any

Fields = dict[int, Any]
"""A structure: its fields by their numbers."""

_DEEPEST = 16
"""Structures within structures; Parquet has seven."""
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_WHOLE = (4, 5, 6)


class CompactReader:
    """Reads structures, one after the other.

    Args:
        data: what they are in.
        place: where the first begins.
    """

    def __init__(self, data: bytes, place: int = 0) -> None:
        self._data = data
        self.place = place
        """Where the next begins."""

    def structure(self, depth: int = 0) -> Fields:
        """The next structure, without fields that are maps.

        Raises:
            ValueError: there is none.
        """
        if depth > _DEEPEST:
            raise ValueError("its Parquet structures lie too deep in each other")
        fields: Fields = {}
        number = 0
        while header := self._byte():
            step, kind = header >> 4, header & 15
            number = number + step if step else self._whole()
            fields[number] = self._field(kind, depth)
        return fields

    def _field(self, kind: int, depth: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        return self._value(kind, depth)

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _WHOLE:
            return self._whole()
        if kind == _BINARY:
            return self._bytes(self._unsigned())
        if kind in (_LIST, _SET):
            return self._list(depth)
        if kind == _STRUCT:
            return self.structure(depth + 1)
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        if kind == _DOUBLE:
            return struct.unpack("<d", self._bytes(8))[0]
        raise ValueError(f"its Parquet structures have a field of kind {kind}")

    def _list(self, depth: int) -> list[Any]:
        header = self._byte()
        count, kind = header >> 4, header & 15
        if count == 15:
            count = self._unsigned()
        if count > len(self._data) - self.place:
            raise ValueError("its Parquet structures have a list that is longer than the file")
        return [self._value(kind, depth + 1) for _ in range(count)]

    def _whole(self) -> int:
        zigzag = self._unsigned()
        return (zigzag >> 1) ^ -(zigzag & 1)

    def _unsigned(self) -> int:
        byte = self._byte()
        if byte < 128:
            return byte
        value, self.place = read_varint(self._data, self.place - 1)
        return value

    def _byte(self) -> int:
        place = self.place
        if place >= len(self._data):
            raise ValueError("its Parquet structures end too soon")
        self.place = place + 1
        return self._data[place]

    def _bytes(self, count: int) -> bytes:
        end = self.place + count
        if end > len(self._data):
            raise ValueError("its Parquet structures end too soon")
        piece = self._data[self.place : end]
        self.place = end
        return piece


def text_of(data: bytes) -> str:
    """A text, as Parquet has names and values.

    Raises:
        ValueError: it is none.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("a text in the Parquet file is not in UTF-8") from None


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    """A whole number of at most 64 bits, and where it ends.

    Raises:
        ValueError: there is none.
    """
    value = 0
    for shift in range(0, 70, 7):
        if not 0 <= place < len(data):
            raise ValueError("its Parquet numbers end too soon")
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("its Parquet numbers have no end")
