"""A texture and the colours of vertices, multiplied into one texture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cad_models._mesh import srgb
from cad_models._mesh.checked import RawMesh

_LEAST_SIDE, _MOST_SIDE = 4, 1024
_AT_ONCE = 2**18
"""Texels that are worked on together."""


def baked(part: RawMesh, tint: NDArray[np.float64], most_texels: int) -> RawMesh:
    """The part with a texture that has a patch for each face, in the colours that it shows.

    Args:
        part: with a texture that repeats.
        tint: (V, 3), linear, by what the texture is multiplied.
        most_texels: of the new texture, about; patches are made smaller to keep to it.
    """
    assert part.texture is not None
    assert part.texture_coordinates is not None
    size = np.array(part.texture.shape[1::-1])
    corners = part.texture_coordinates[part.faces]
    edges = np.abs(np.roll(corners, -1, axis=1) - corners) * size
    sides = _sides(edges.max(axis=(1, 2)), most_texels)
    columns = _columns(sides)
    places, lines = _places(sides, columns)
    texture = np.zeros((lines, columns, 3), dtype=np.uint8)
    coordinates = np.zeros((len(part.faces), 3, 2))
    for rows, left, top, side in places:
        width = len(rows) * side
        texture[top : top + side, left : left + width] = _patches(
            part, corners[rows], tint[part.faces[rows]], side
        )
        # At the centres of texels, so that smoothing takes in nothing of the neighbours.
        near = left + side * np.arange(len(rows)) + 0.5
        across = np.stack([near, near + side - 1, near], axis=1) / columns
        down = np.broadcast_to((top + np.array([0.5, 0.5, side - 0.5])) / lines, across.shape)
        coordinates[rows] = np.stack([across, 1 - down], axis=2)
    by_corner = part.select(part.faces.reshape(-1), np.arange(part.faces.size).reshape(-1, 3))
    return replace(by_corner, texture=texture, texture_coordinates=coordinates.reshape(-1, 2))


def _sides(texels: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """(F,), the side of each face's patch, a power of two."""
    largest = _MOST_SIDE
    while True:
        fitting = np.clip(texels + 1, _LEAST_SIDE, largest)
        sides = np.minimum(2 ** np.ceil(np.log2(fitting)), largest).astype(np.int64)
        if largest == _LEAST_SIDE or (sides**2).sum() <= most:
            return np.asarray(sides)
        largest //= 2


def _columns(sides: NDArray[np.int64]) -> int:
    return max(int(2 ** np.ceil(np.log2((sides**2).sum()) / 2)), int(sides.max()))


def _places(
    sides: NDArray[np.int64], columns: int
) -> tuple[list[tuple[NDArray[np.int64], int, int, int]], int]:
    """Faces whose patches stand side by side: which, the first one's left and top, and its side;
    and how many lines all take."""
    places, top = [], 0
    for side in np.unique(sides)[::-1].tolist():
        faces, in_line = np.flatnonzero(sides == side), columns // side
        at_once = max(1, min(in_line, _AT_ONCE // side**2))
        for start in range(0, len(faces), in_line):
            line = faces[start : start + in_line]
            places += [
                (line[k : k + at_once], k * side, top, side) for k in range(0, len(line), at_once)
            ]
            top += side
    return places, top


def _patches(
    part: RawMesh, corners: NDArray[np.float64], tint: NDArray[np.float64], side: int
) -> NDArray[np.uint8]:
    """(side, N side, 3), what each of N faces shows, its first corner top left.

    Beyond the diagonal the face goes on, for smoothing.

    Args:
        part: whose texture is shown.
        corners: (N, 3, 2), texture coordinates.
        tint: (N, 3, 3).
        side: of a patch.
    """
    second, third = np.meshgrid(np.arange(side), np.arange(side))
    weights = np.stack([side - 1 - second - third, second, third]) / (side - 1)
    place = np.einsum("kyx,nkd->ynxd", weights, corners)
    light = np.einsum("kyx,nkd->ynxd", weights, tint)
    assert part.texture is not None
    texels = srgb.LINEAR[np.rint(_smooth(part.texture, place)).astype(np.uint8)]
    return srgb.encoded(texels * np.clip(light, 0, 1)).reshape(side, -1, 3)


def _smooth(texture: NDArray[np.uint8], place: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3), a repeated texture's colours at coordinates from its bottom left corner."""
    height, width = texture.shape[:2]
    across, down = place[..., 0] * width - 0.5, (1 - place[..., 1]) * height - 0.5
    left, top = np.floor(across), np.floor(down)
    fx, fy = (across - left)[..., None], (down - top)[..., None]
    x0, x1 = (np.mod(left + k, width).astype(np.int64) for k in (0, 1))
    y0, y1 = (np.mod(top + k, height).astype(np.int64) for k in (0, 1))
    above = (1 - fx) * texture[y0, x0] + fx * texture[y0, x1]
    below = (1 - fx) * texture[y1, x0] + fx * texture[y1, x1]
    return np.asarray((1 - fy) * above + fy * below)
