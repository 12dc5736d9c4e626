"""STL files, binary and text, with the colours that Magics and VisCAM keep in binary ones.

Source: https://en.wikipedia.org/wiki/STL_(file_format), "Color in binary STL".
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from cad_models._files.source import SourceFiles, plain_text
from cad_models._mesh.checked import MAX_FACES, PLAIN_COLOR, RawMesh, too_many
from cad_models._model import ModelError

_HEADER = 84
_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_MAGICS = re.compile(rb"COLOR=(...)", re.DOTALL)
_NAME_LINE = re.compile(rb"^[ \t]*(?:end)?solid\b[^\n]*", re.MULTILINE | re.IGNORECASE)
_VERTEX = re.compile(rb"\bvertex\s+(\S+\s+\S+\s+\S+)", re.IGNORECASE)


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
    has_color = (attributes & 0x8000 == 0) & attributes.any()
    fifths = np.stack([attributes, attributes >> 5, attributes >> 10], axis=1) & 31
    return np.asarray(
        np.where(has_color[:, None], _as_bytes(fifths), np.frombuffer(default, np.uint8))
    )


def _viscam(attributes: NDArray[np.int64]) -> NDArray[np.uint8] | None:
    """(F, 3), None where the attributes hold something else. The highest bit says: has a colour."""
    has_color = attributes & 0x8000 != 0
    if not has_color.any() or attributes[~has_color].any():
        return None
    fifths = np.stack([attributes >> 10, attributes >> 5, attributes], axis=1) & 31
    return np.asarray(np.where(has_color[:, None], _as_bytes(fifths), np.uint8(PLAIN_COLOR)))


def _as_bytes(fifths: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(fifths * (255 / 31)), dtype=np.uint8)


def _text(files: SourceFiles, text: bytes) -> RawMesh:
    # Some programs write numbers as their user's language does.
    body = _NAME_LINE.sub(b"", text).lower().replace(b",", b".")
    facets = body.count(b"endfacet")
    if facets > MAX_FACES:
        raise too_many(str(files.path), facets, 3 * facets)
    corners = _corners(body, files)
    if 2 * facets != body.count(b"facet") or len(corners) != facets:
        raise ModelError(
            f"{files.path} breaks off before its end or has facets that are no triangles; copy or "
            "export it again"
        )
    notes: tuple[str, ...] = ()
    if b"endsolid" not in text.lower():
        notes = (f"{files.path.name}: it has no endsolid line, as if it were cut off",)
    return _soup(corners, None, notes)


def _corners(body: bytes, files: SourceFiles) -> NDArray[np.float64]:
    """(F, 3, 3)."""
    try:
        numbers = b" ".join(_VERTEX.findall(body))
        return np.fromstring(numbers, dtype=np.float64, sep=" ").reshape(-1, 3, 3)
    except ValueError:
        raise ModelError(
            f"{files.path} breaks off before its end or has text where numbers should be; copy or "
            "export it again"
        ) from None


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
