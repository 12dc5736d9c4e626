# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture that the panel shows: in no .blend file, until the user opens it in an editor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews
import numpy as np
from numpy.typing import NDArray

_MOST_BYTES = 2**28
_shown: dict[str, Any] = {}


def place() -> Path:
    """Where jobs write it."""
    folder = bpy.utils.extension_path_user(__package__, path="pictures", create=True)
    return Path(folder) / "preview.png"


def show(file: Path) -> None:
    """Show what is now in a file; nothing new where that is no picture."""
    if bpy.app.background:
        return
    import cv2

    from safe_files import decode_picture, read_file

    picture = decode_picture(read_file(file, most=_MOST_BYTES))
    if picture is None:
        return
    rgba = cv2.cvtColor(_without_margin(picture), cv2.COLOR_BGR2RGBA)[::-1].astype(np.float32) / 255
    clear()
    collection = bpy.utils.previews.new()
    entry = collection.new("picture")
    entry.image_size = rgba.shape[1::-1]
    entry.image_pixels_float.foreach_set(np.ascontiguousarray(rgba).ravel())
    _shown.update(collection=collection, entry=entry, file=file)


def icon() -> int:
    """Of the picture, 0 where there is none."""
    return _shown["entry"].icon_id if _shown else 0


def file() -> Path | None:
    """Of the picture."""
    return _shown.get("file")


def clear() -> None:
    """Show none."""
    if _shown:
        bpy.utils.previews.remove(_shown["collection"])
        _shown.clear()


def _without_margin(picture: NDArray[Any]) -> NDArray[Any]:
    """What is left without rows and columns at the border that have its corner's colour."""
    drawn = (picture != picture[0, 0]).any(axis=2)
    rows, columns = (np.flatnonzero(drawn.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return picture
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
