"""Several meshes into one, with one texture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ._geometry import PLAIN_COLOR, RawMesh
from ._model import ModelError
from ._pictures import MAX_PIXELS

_LARGEST_TILE = 2048
_MARGIN = 4
"""Pixels around each tile that repeat its edge, so that neighbours do not bleed into it."""


def joined(parts: Sequence[RawMesh], label: str) -> RawMesh:
    """All parts as one mesh.

    Parts that share one texture keep it. Otherwise textures are stacked into one, each repeated
    as far as its texture coordinates go; a part in plain colours gets a tile of these, each of
    its faces in the mean colour of its corners.

    Raises:
        ModelError: the textures are too large together. The message begins with `label`.
    """
    if len(parts) > 1 and any(part.texture is not None for part in parts):
        parts = _with_one_texture(parts, label)
    return _concatenated(parts)


def _concatenated(parts: Sequence[RawMesh]) -> RawMesh:
    """Parts that have one texture, or none, as one."""
    if len(parts) == 1:
        return parts[0]
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts)])
    has_normals = all(part.normals is not None for part in parts)
    return RawMesh(
        vertices=np.concatenate([part.vertices for part in parts]),
        faces=np.concatenate(
            [part.faces + offset for part, offset in zip(parts, offsets, strict=False)]
        ),
        normals=(
            np.concatenate([p.normals for p in parts if p.normals is not None])
            if has_normals
            else None
        ),
        colors=(
            np.concatenate([_colors(part) for part in parts])
            if any(part.colors is not None for part in parts)
            else None
        ),
        texture_coordinates=(
            np.concatenate(
                [p.texture_coordinates for p in parts if p.texture_coordinates is not None]
            )
            if parts[0].texture is not None
            else None
        ),
        texture=parts[0].texture,
        notes=notes,
    )


def by_texture(parts: Sequence[RawMesh]) -> list[RawMesh]:
    """Parts that share one texture as one, so that it is one tile however many they are."""
    groups: dict[int, list[RawMesh]] = {}
    for part in parts:
        groups.setdefault(id(part.texture), []).append(part)
    return [_concatenated(group) for group in groups.values()]


def _colors(part: RawMesh) -> NDArray[np.uint8]:
    if part.colors is not None:
        return part.colors
    return np.full((len(part.vertices), 3), PLAIN_COLOR, dtype=np.uint8)


def _with_one_texture(parts: Sequence[RawMesh], label: str) -> list[RawMesh]:
    first = parts[0].texture
    if first is not None and all(
        part.texture is not None and np.array_equal(part.texture, first) for part in parts
    ):
        return list(parts)
    parts = [part if part.texture is not None else _flat_colored(part) for part in parts]
    tiles, coordinates = zip(*_tiles(parts, label), strict=True)
    width = max(tile.shape[1] for tile in tiles)
    height = sum(tile.shape[0] for tile in tiles)
    atlas = np.zeros((height, width, 3), dtype=np.uint8)
    top, moved = 0, []
    for part, tile, uv in zip(parts, tiles, coordinates, strict=True):
        rows, columns = tile.shape[:2]
        atlas[top : top + rows, :columns] = tile
        inner = np.array([columns - 2 * _MARGIN, rows - 2 * _MARGIN])
        corner = np.array([_MARGIN, height - top - rows + _MARGIN])
        moved.append((part, (corner + uv * inner) / (width, height)))
        top += rows
    return [replace(part, texture_coordinates=uv, texture=atlas) for part, uv in moved]


def _tiles(
    parts: Sequence[RawMesh], label: str
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    pixels = 0
    for part in parts:
        tile, coordinates = _tile(part)
        pixels += tile.shape[0] * tile.shape[1]
        if pixels > MAX_PIXELS:
            raise ModelError(
                f"{label} has textures of more than {MAX_PIXELS} pixels in all; make them smaller"
            )
        yield tile, coordinates


def _flat_colored(part: RawMesh) -> RawMesh:
    colors = _colors(part)
    if (colors == colors[0]).all():
        return replace(part, colors=colors)
    apart = part.select(part.faces.reshape(-1), np.arange(part.faces.size).reshape(-1, 3))
    means = np.round(colors[part.faces].mean(axis=1)).astype(np.uint8)
    return replace(apart, colors=np.repeat(means, 3, axis=0))


def _tile(part: RawMesh) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A picture with margins, and the part's coordinates in it, 0 to 1 between the margins."""
    if part.texture is None or part.texture_coordinates is None:
        return _color_tile(_colors(part))
    low = np.floor(part.texture_coordinates.min(axis=0))
    repeats = np.ceil(part.texture_coordinates.max(axis=0)) - low
    repeats = np.clip(repeats, 1, _LARGEST_TILE).astype(int)
    size = np.array(part.texture.shape[1::-1])
    shrink = min(1.0, float((_LARGEST_TILE / (size * repeats)).min()))
    picture = part.texture
    if shrink < 1:
        smaller = np.maximum(1, size * shrink).astype(int).tolist()
        resized = cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA)
        picture = np.asarray(resized, dtype=np.uint8)
    picture = np.tile(picture, (repeats[1], repeats[0], 1))
    return _framed(picture), np.clip((part.texture_coordinates - low) / repeats, 0, 1)


def _color_tile(colors: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """One pixel for every colour, in rows, and the coordinates of the pixels' centres."""
    palette, index = np.unique(colors, axis=0, return_inverse=True)
    side = int(np.ceil(np.sqrt(len(palette))))
    picture = np.zeros((side * side, 3), dtype=np.uint8)
    picture[: len(palette)] = palette
    row, column = np.divmod(index.reshape(-1), side)
    coordinates = np.stack([(column + 0.5) / side, 1 - (row + 0.5) / side], axis=1)
    return _framed(picture.reshape(side, side, 3)), coordinates


def _framed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.pad(picture, ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0)), mode="edge")
