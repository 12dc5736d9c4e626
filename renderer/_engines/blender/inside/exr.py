"""Reads the OpenEXR files that Blender is asked to write: 32-bit floats, one part, not compressed.

Runs in Blender's own Python: imports numpy only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from renderer._crops import RenderError

_MAGIC = 20000630
_SEVERAL_PARTS = 0x1000
_FLOAT = 2
_LINE_HEAD = 8
"""Bytes before a line's values: its row and its size."""


def read_exr(content: bytes) -> dict[str, NDArray[np.float32]]:
    """The channels of an uncompressed 32-bit OpenEXR file of scan lines, each (H, W).

    Raises:
        RenderError: it is none.
    """
    magic, version = np.frombuffer(content, "<u4", 2)
    if magic != _MAGIC or version & _SEVERAL_PARTS:
        raise RenderError("this is no OpenEXR file of one part: use Blender 4.2 to 5.2")
    header, position = _header(content, 8)
    if header["compression"] != b"\0":
        raise RenderError("the OpenEXR file is compressed: have it written without")
    left, top, right, bottom = np.frombuffer(header["dataWindow"], "<i4")
    height, width = bottom - top + 1, right - left + 1
    names = _channels(header["channels"])
    lines = [
        np.frombuffer(content, "<f4", len(names) * width, int(offset) + _LINE_HEAD)
        for offset in np.frombuffer(content, "<u8", height, position)
    ]
    image = np.stack(lines).reshape(height, len(names), width)
    return {name: image[:, number] for number, name in enumerate(names)}


def _header(content: bytes, position: int) -> tuple[dict[str, bytes], int]:
    """The attributes that begin at a position, and where they end."""
    header = {}
    while content[position] != 0:
        name_end = content.index(0, position)
        kind_end = content.index(0, name_end + 1)
        size = int.from_bytes(content[kind_end + 1 : kind_end + 5], "little")
        value = kind_end + 5
        header[content[position:name_end].decode()] = content[value : value + size]
        position = value + size
    return header, position + 1


def _channels(content: bytes) -> list[str]:
    names, position = [], 0
    while content[position] != 0:
        end = content.index(0, position)
        if content[end + 1] != _FLOAT:
            raise RenderError("the OpenEXR file is not of 32-bit floats: have it written so")
        names.append(content[position:end].decode())
        position = end + 17
    return names
