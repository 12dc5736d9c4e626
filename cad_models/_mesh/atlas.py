"""Several meshes into one, with one texture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models._mesh.checked import PLAIN_COLOR, RawMesh
from cad_models._model import ModelError
from safe_files import MOST_PIXELS as MAX_PIXELS

LARGEST_TILE = 2048
"""Pixels of a texture's side where there are several."""
_MARGIN = 4
"""Pixels around each tile that repeat its edge, so that neighbours do not bleed into it."""


def joined(parts: Sequence[RawMesh], subject: str) -> RawMesh:
    """All parts as one mesh.

    Parts that share one texture keep it. Otherwise textures are stacked into one, each repeated
    as far as its texture coordinates go; a part in plain colours gets a tile of these.

    Raises:
        ModelError: the textures are too large together. The message begins with `subject`.
    """
    if len(parts) > 1 and any(part.texture is not None for part in parts):
        parts = _with_one_texture(parts, subject)
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


def _with_one_texture(parts: Sequence[RawMesh], subject: str) -> list[RawMesh]:
    first = parts[0].texture
    if first is not None and all(
        part.texture is first or (part.texture is not None and np.array_equal(part.texture, first))
        for part in parts
    ):
        return list(parts)
    parts = [part if part.texture is not None else _with_faces_apart(part) for part in parts]
    tiles, coordinates = zip(*_tiles(parts, subject), strict=True)
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
    parts: Sequence[RawMesh], subject: str
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    pixels = 0
    for part in parts:
        tile, coordinates = _tile(part)
        pixels += tile.shape[0] * tile.shape[1]
        if pixels > MAX_PIXELS:
            raise ModelError(
                f"{subject} has textures of more than {MAX_PIXELS} pixels in all; make them smaller"
            )
        yield tile, coordinates


def _with_faces_apart(part: RawMesh) -> RawMesh:
    """The part with three vertices to each face if the colour changes within faces."""
    if not _is_shaded(part):
        return part
    return part.select(part.faces.reshape(-1), np.arange(part.faces.size).reshape(-1, 3))


def _is_shaded(part: RawMesh) -> bool:
    corners = _colors(part)[part.faces]
    return bool((corners != corners[:, :1]).any())


def _tile(part: RawMesh) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A picture with margins, and the part's coordinates in it, 0 to 1 between the margins."""
    if part.texture is None or part.texture_coordinates is None:
        return _shaded_tile(part) if _is_shaded(part) else _color_tile(_colors(part))
    low = np.floor(part.texture_coordinates.min(axis=0))
    repeats = np.ceil(part.texture_coordinates.max(axis=0)) - low
    repeats = np.clip(repeats, 1, LARGEST_TILE).astype(int)
    picture = np.tile(shrunk(part.texture, repeats), (repeats[1], repeats[0], 1))
    return _framed(picture), np.clip((part.texture_coordinates - low) / repeats, 0, 1)


def shrunk(
    picture: NDArray[np.uint8], repeats: NDArray[np.int64] | tuple[int, int] = (1, 1)
) -> NDArray[np.uint8]:
    """The picture no larger than a tile, or than a tile that repeats it so often in x and y."""
    size = np.array(picture.shape[1::-1])
    shrink = float((LARGEST_TILE / (size * repeats)).min())
    if shrink >= 1:
        return picture
    smaller = np.maximum(1, size * shrink).astype(int).tolist()
    return np.asarray(cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _color_tile(colors: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """One pixel for every colour, in rows, and the coordinates of the pixels' centres."""
    palette, index = np.unique(colors, axis=0, return_inverse=True)
    side = int(np.ceil(np.sqrt(len(palette))))
    picture = np.zeros((side * side, 3), dtype=np.uint8)
    picture[: len(palette)] = palette
    row, column = np.divmod(index.reshape(-1), side)
    coordinates = np.stack([(column + 0.5) / side, 1 - (row + 0.5) / side], axis=1)
    return _framed(picture.reshape(side, side, 3)), coordinates


def _shaded_tile(part: RawMesh) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Four pixels for every face, between whose centres the renderers shade as between corners."""
    corners, squares = _squares(part)
    side = int(np.ceil(np.sqrt(len(corners))))
    filled = np.zeros((side * side, 2, 2, 3), dtype=np.uint8)
    filled[: len(corners)] = squares
    picture = filled.reshape(side, side, 2, 2, 3).swapaxes(1, 2).reshape(2 * side, 2 * side, 3)
    row, column = np.divmod(np.arange(len(corners)), side)
    centres = np.array([(0.5, 0.5), (1.5, 0.5), (0.5, 1.5)]) / (2 * side)
    places = np.stack([column, row], axis=1)[:, None] / side + centres
    coordinates = np.zeros((len(part.vertices), 2))
    coordinates[corners] = places * (1, -1) + (0, 1)
    return _framed(picture), coordinates


def _squares(part: RawMesh) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """(F, 3), each face's corners, and (F, 2, 2, 3), a square with these colours at its top left,
    top right and bottom left."""
    turns = np.stack([np.roll(part.faces, turn, axis=1) for turn in range(3)], axis=1)
    colors = _colors(part)[turns].astype(np.int64)
    fourth = colors[:, :, 1] + colors[:, :, 2] - colors[:, :, 0]
    # Only a fourth colour that can be stored leaves the shading as it is between the others.
    beyond = np.abs(fourth - np.clip(fourth, 0, 255)).sum(axis=2)
    best = np.arange(len(turns)), beyond.argmin(axis=1)
    squares = np.concatenate([colors[best], np.clip(fourth[best], 0, 255)[:, None]], axis=1)
    return turns[best], squares.reshape(-1, 2, 2, 3).astype(np.uint8)


def _framed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.pad(picture, ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0)), mode="edge")
