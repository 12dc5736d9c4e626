"""Small files that would take all memory or time once they are unpacked: seen before they are."""

from __future__ import annotations

import json

from ._geometry import MAX_VERTICES
from ._model import ModelError
from ._source_files import SourceFiles

_MOST_NUMBERS = 8 * MAX_VERTICES
"""In all of a glTF's accessors, each a number, vector or matrix: more than a vertex has."""


def check_gltf(files: SourceFiles) -> None:
    """Refuse a glTF that claims more numbers than a mesh of ours has.

    Raises:
        ModelError: it does.
    """
    content = files.content
    if content.startswith(b"glTF"):
        content = content[20 : 20 + int.from_bytes(content[12:16], "little")]
    try:
        accessors = json.loads(content).get("accessors", [])
        numbers = sum(max(int(accessor["count"]), 0) for accessor in accessors)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return  # which its parser will say better
    if numbers > _MOST_NUMBERS:
        raise ModelError(
            f"{files.path} has {numbers} vertices and indices and the limit is {_MOST_NUMBERS}; "
            "simplify the mesh first"
        )
