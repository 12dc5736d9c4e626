"""Pages as they are unpacked: Snappy, gzip, or as they are.

Source: github.com/google/snappy/blob/main/format_description.txt
"""

from __future__ import annotations

import zlib

from render_adapt._formats.parquet.thrift import read_varint

_PLAIN, _SNAPPY, _GZIP = 0, 1, 2
_OTHERS = {3: "LZO", 4: "Brotli", 5: "LZ4", 6: "Zstandard", 7: "LZ4"}


def unpack(packed: bytes, codec: int, size: int) -> bytes:
    """The bytes of a page.

    Args:
        packed: as they lie in the file.
        codec: by what they were packed, as Parquet counts codecs.
        size: how many they are.

    Raises:
        ValueError: they are others, or packed by what no index is packed by.
    """
    if codec == _SNAPPY:
        content = _unpack_snappy(packed, size)
    elif codec == _GZIP:
        content = _unpack_gzip(packed, size)
    elif codec == _PLAIN:
        content = packed
    else:
        name = _OTHERS.get(codec, f"codec {codec}")
        raise ValueError(f"it is packed by {name}, and an index by Snappy, gzip or nothing")
    if len(content) != size:
        raise ValueError("a page of the Parquet file has another size than it says")
    return content


def _unpack_gzip(packed: bytes, size: int) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(packed, size + 1)
    except zlib.error as error:
        raise ValueError(f"a page of the Parquet file is damaged: {error}") from None


def _unpack_snappy(packed: bytes, size: int) -> bytes:
    stated, place = read_varint(packed, 0)
    content = bytearray()
    while place < len(packed) and len(content) <= size:
        tag = packed[place]
        kind, length = tag & 3, (tag >> 2) + 1
        place += 1
        if kind == 0:
            if length > 60:
                wide = length - 60
                length = int.from_bytes(packed[place : place + wide], "little") + 1
                place += wide
            if place + length > len(packed):
                raise ValueError("a page of the Parquet file ends too soon")
            content += packed[place : place + length]
            place += length
            continue
        if kind == 1:
            length, high, wide = 4 + (tag >> 2 & 7), tag >> 5, 1
        else:
            high, wide = 0, 2 if kind == 2 else 4
        offset = high << 8 | int.from_bytes(packed[place : place + wide], "little")
        place += wide
        if not 0 < offset <= len(content):
            raise ValueError("a page of the Parquet file repeats what it does not have")
        start = len(content) - offset
        piece = content[start : start + length]
        # What is repeated may be what is being written.
        content += (piece * (length // len(piece) + 1))[:length]
    if stated != len(content):
        raise ValueError("a page of the Parquet file has another size than it says")
    return bytes(content)
