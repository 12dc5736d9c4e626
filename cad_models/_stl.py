"""STL files, binary and text, with the colours that Magics and VisCAM keep in binary ones.

Source: https://en.wikipedia.org/wiki/STL_(file_format), "Color in binary STL".
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from ._geometry import MAX_FACES, PLAIN_COLOR, RawMesh, too_many
from ._model import ModelError
from ._source_files import SourceFiles, plain_text

_HEADER = 84
_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_MAGICS = re.compile(rb"COLOR=(...)", re.DOTALL)
_NAME_LINE = re.compile(rb"^[ \t]*(?:end)?solid\b[^\n]*", re.MULTILINE | re.IGNORECASE)
_VERTEX = re.compile(rb"\bvertex\s+(\S+\s+\S+\s+\S+)", re.IGNORECASE)
_FACET_END = re.compile(rb"\bendfacet\b", re.IGNORECASE)
_FACET_START = re.compile(rb"\bfacet\b", re.IGNORECASE)


def read(files: SourceFiles) -> RawMesh:
    """The mesh.

    Raises:
        ModelError: the file breaks off, holds too much or is no STL.
    """
    content = files.content
    count = int.from_bytes(content[80:_HEADER], "little") if len(content) >= _HEADER else 0
    if count and len(content) >= _HEADER + _FACET.itemsize * count:
        return _binary(files, count)
    text = plain_text(content)
    if text.lstrip()[:5].lower() == b"solid" and _VERTEX.search(text):
        return _text(files, text)
    # Writers that do not know the count in advance leave it at 0.
    count, rest = divmod(len(content) - _HEADER, _FACET.itemsize)
    if content[80:_HEADER] == bytes(4) and count > 0 and not rest:
        return _binary(files, count)
    raise ModelError(
        f"{files.path} breaks off before its end or is not an STL file; copy or export it again"
    )


def _binary(files: SourceFiles, count: int) -> RawMesh:
    if count > MAX_FACES:
        raise too_many(str(files.path), count, 3 * count)
    facets = np.frombuffer(files.content, _FACET, count, offset=_HEADER)
    spare = files.content[_HEADER + count * _FACET.itemsize :]
    notes = []
    if spare.strip(b"\0 \r\n\t"):
        notes.append(f"{files.path.name}: {len(spare)} bytes after its triangles are left out")
    attributes = facets["attribute"].astype(np.int64)
    magics = _MAGICS.search(files.content[:80])
    colors = _viscam(attributes) if magics is None else _magics(attributes, magics[1])
    if colors is None and attributes.any() and magics is None:
        notes.append(
            f"{files.path.name}: its facets' attributes are left out, as no colours of Magics or "
            "VisCAM"
        )
    return _soup(facets["corners"].astype(np.float64), colors, tuple(notes))


def _magics(attributes: NDArray[np.int64], default: bytes) -> NDArray[np.uint8]:
    """(F, 3). A facet is in the solid's colour where its highest bit is set or no facet has any."""
    own = (attributes & 0x8000 == 0) & attributes.any()
    fifths = np.stack([attributes, attributes >> 5, attributes >> 10], axis=1) & 31
    return np.asarray(np.where(own[:, None], _as_bytes(fifths), np.frombuffer(default, np.uint8)))


def _viscam(attributes: NDArray[np.int64]) -> NDArray[np.uint8] | None:
    """(F, 3), None where the attributes hold something else. The highest bit says: has a colour."""
    own = attributes & 0x8000 != 0
    if not own.any() or attributes[~own].any():
        return None
    fifths = np.stack([attributes >> 10, attributes >> 5, attributes], axis=1) & 31
    return np.asarray(np.where(own[:, None], _as_bytes(fifths), np.uint8(PLAIN_COLOR)))


def _as_bytes(fifths: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(fifths * (255 / 31)), dtype=np.uint8)


def _text(files: SourceFiles, text: bytes) -> RawMesh:
    body = _NAME_LINE.sub(b"", text)
    triples = _VERTEX.findall(body)
    ends = len(_FACET_END.findall(body))
    if ends > MAX_FACES:
        raise too_many(str(files.path), ends, 3 * ends)
    if ends != len(_FACET_START.findall(body)) or len(triples) != 3 * ends:
        raise ModelError(
            f"{files.path} breaks off before its end or has facets that are no triangles; copy or "
            "export it again"
        )
    # Some programs write numbers as their user's language does.
    numbers = b" ".join(triples).replace(b",", b".")
    try:
        corners = np.fromstring(numbers, dtype=np.float64, sep=" ")
    except ValueError:
        raise ModelError(
            f"{files.path} has text where numbers should be; export the mesh again"
        ) from None
    notes: tuple[str, ...] = ()
    if b"endsolid" not in text.lower():
        notes = (f"{files.path.name}: it has no endsolid line, as if it were cut off",)
    return _soup(corners.reshape(-1, 3, 3), None, notes)


def _soup(
    corners: NDArray[np.float64], colors: NDArray[np.uint8] | None, notes: tuple[str, ...]
) -> RawMesh:
    """(F, 3, 3) corners, each facet's its own."""
    return RawMesh(
        vertices=corners.reshape(-1, 3),
        faces=np.arange(3 * len(corners)).reshape(-1, 3),
        colors=None if colors is None else np.repeat(colors, 3, axis=0),
        notes=notes,
    )
