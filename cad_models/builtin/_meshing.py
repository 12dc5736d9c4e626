"""From a signed-distance solid to a small closed mesh with normals and colours."""

from __future__ import annotations

import fast_simplification
import numpy as np
from numpy.typing import NDArray
from skimage.measure import marching_cubes

from cad_models._model import Mesh
from cad_models.builtin._signed_distance import Floats, Outline, Solid

_REACH = 220.0
"""Half the side of the cube in which a solid is looked for, millimetres."""
_CHUNK = 1 << 15
"""Points evaluated at a time, so that the intermediate arrays stay in the processor's cache."""
_STRIDE = 4
"""Every so many nodes of a grid are evaluated first, to find where the surface is."""
_NORMAL_STEP = 0.4
"""Half the interval of the gradient, millimetres: wide enough to soften marching cubes' edges."""


def mesh_from_solid(solid: Solid, face_count: int, spacing: float, mirrored: str = "") -> Mesh:
    """Mesh a solid by marching cubes on a grid of `spacing` mm, simplified to `face_count` faces.

    `mirrored` names axes ("xy") across which the solid is its own mirror image; then only one half
    or quarter is meshed, and the rest is its exact mirror image.
    """
    vertices, faces = _march(solid, spacing, mirrored)
    normals = _gradient(solid, vertices)
    relief = _relief(solid, vertices, normals, faces)
    vertices, faces = _simplified(
        vertices + relief[:, None] * normals,
        faces,
        face_count // 2 ** len(mirrored),
        bool(mirrored),
    )
    return _finished(solid, _onto_surface(solid, vertices, 2 * spacing), faces, mirrored)


def mesh_from_profile(solid: Solid, profile: Outline, sides: int) -> Mesh:
    """Mesh a solid of revolution about z, given its profile from its foot to its inside.

    The profile starts and ends at radius 0.
    """
    radius, height = (np.array(values) for values in zip(*profile, strict=True))
    circle = _unit_circle(sides)
    rings = [
        np.stack([r * circle[:, 0], r * circle[:, 1], np.full(sides, z)], axis=1)
        for r, z in zip(radius[1:-1], height[1:-1], strict=True)
    ]
    poles = np.array([[0, 0, height[0]], [0, 0, height[-1]]])
    vertices = np.concatenate([*rings, poles])
    side = np.arange(sides)
    next_side = (side + 1) % sides
    faces = []
    for ring in range(len(rings) - 1):
        low, high = ring * sides, (ring + 1) * sides
        faces += [
            np.stack([low + side, low + next_side, high + next_side], axis=1),
            np.stack([low + side, high + next_side, high + side], axis=1),
        ]
    last, foot = (len(rings) - 1) * sides, len(rings) * sides
    faces += [
        np.stack([next_side, side, np.full(sides, foot)], axis=1),
        np.stack([last + side, last + next_side, np.full(sides, foot + 1)], axis=1),
    ]
    return _finished(solid, vertices, np.concatenate(faces), "")


def resized(mesh: Mesh, diameter: float) -> Mesh:
    """The mesh with its bounding box centred at the origin, scaled to a diameter."""
    vertices = mesh.vertices.astype(np.float64)
    vertices = vertices - (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    vertices = vertices * (diameter / measured_diameter(vertices))
    return Mesh(vertices.astype(np.float32), mesh.faces, mesh.normals, mesh.colors)


def measured_diameter(vertices: NDArray[np.floating]) -> float:
    """Largest distance between two vertices."""
    points = vertices.astype(np.float64)
    greatest = 0.0
    for start in range(0, len(points), 256):
        offsets = points[start : start + 256, None] - points[None]
        x, y, z = np.moveaxis(offsets, -1, 0)
        greatest = max(greatest, float((x * x + y * y + z * z).max()))
    return float(np.sqrt(greatest))


def _evaluated(solid: Solid, vertices: Floats) -> Floats:
    points = np.ascontiguousarray(vertices.T)
    parts = [
        solid.distance(points[:, start : start + _CHUNK])
        for start in range(0, points.shape[1], _CHUNK)
    ]
    return np.concatenate(parts)


def _sampled(solid: Solid, axes: list[Floats]) -> Floats:
    """Distances at the nodes of a grid; far from the surface, those of a node nearby."""
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    distances = _evaluated(solid, nodes[::_STRIDE, ::_STRIDE, ::_STRIDE].reshape(-1, 3))
    distances = distances.reshape([len(axis[::_STRIDE]) for axis in axes])
    for dimension, axis in enumerate(axes):
        distances = np.repeat(distances, _STRIDE, axis=dimension)
        distances = np.take(distances, np.arange(len(axis)), axis=dimension)
    near = np.abs(distances) < 3 * _STRIDE * (axes[0][1] - axes[0][0])
    distances[near] = _evaluated(solid, nodes[near])
    return distances


def _march(solid: Solid, spacing: float, mirrored: str) -> tuple[Floats, NDArray[np.integer]]:
    coarse: Floats = np.arange(-_REACH, _REACH + 1, 8.0)
    near = np.argwhere(_sampled(solid, [coarse] * 3) < 8.0)
    low, high = coarse[near.min(axis=0)] - 8.0, coarse[near.max(axis=0)] + 8.0
    axes: list[Floats] = []
    for index, name in enumerate("xyz"):
        # A grid that is off every round number keeps flat faces from lying in its nodes.
        start = 0.0 if name in mirrored else float(low[index]) + 0.137
        count = int((high[index] - start) / spacing) + 1
        axes.append(np.asarray(start + spacing * np.arange(count), dtype=np.float64))
    vertices, faces, _, _ = marching_cubes(
        _sampled(solid, axes), 0.0, gradient_direction="descent", allow_degenerate=False
    )
    origin = np.array([axis[0] for axis in axes])
    return vertices.astype(np.float64) * spacing + origin, faces


def _gradient(solid: Solid, vertices: Floats) -> Floats:
    gradient = np.empty_like(vertices)
    for axis in range(3):
        offset = np.zeros(3)
        offset[axis] = _NORMAL_STEP
        ahead, behind = _evaluated(solid, vertices + offset), _evaluated(solid, vertices - offset)
        gradient[:, axis] = ahead - behind
    x, y, z = gradient.T
    return np.asarray(gradient / np.maximum(np.sqrt(x * x + y * y + z * z), 1e-9)[:, None])


def _onto_surface(solid: Solid, vertices: Floats, furthest: float) -> Floats:
    moved = vertices
    for _ in range(4):
        step = np.clip(_evaluated(solid, moved), -furthest / 4, furthest / 4)
        moved = moved - step[:, None] * _gradient(solid, moved)
    return moved


def _relief(solid: Solid, vertices: Floats, normals: Floats, faces: NDArray[np.integer]) -> Floats:
    """How far to raise each vertex, millimetres, while the mesh is simplified.

    Simplification only knows shape; as a low relief, colours keep their borders and shadows their
    softness. The relief of plain colours is levelled away from borders, where it would only swell
    the shape and fold its hollows.
    """
    paint = _lightness(solid.color(np.ascontiguousarray(vertices.T)))
    shade = _lightness(_shaded(solid, vertices, normals))
    ends = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()
    count = np.bincount(ends[0], minlength=len(vertices))
    level = paint
    for _ in range(10):
        around = np.bincount(ends[0], weights=level[ends[1]], minlength=len(vertices))
        level = (level + around / np.maximum(count, 1)) / 2
    return np.asarray(0.5 * shade + 1.2 * (paint - level))


def _lightness(colors: Floats) -> Floats:
    """One number for a colour, 0..1; not the eye's, but it tells all the colours in use apart."""
    red, green, blue = colors.T
    return np.asarray((0.45 * red + 0.45 * green + 0.1 * blue) / 255)


def _simplified(
    vertices: Floats, faces: NDArray[np.integer], face_count: int, keep_border: bool
) -> tuple[Floats, NDArray[np.integer]]:
    """Fewer faces by quadric error; tries lower counts until no fold is left in the surface."""
    for count in range(face_count, face_count // 2, -20):
        fewer, kept_faces = fast_simplification.simplify(
            vertices, faces.astype(np.int32), target_count=count, preserve_border=keep_border
        )
        # Two faces with the same corners, back to back, are a fin that encloses nothing.
        _, corner_set, copies = np.unique(
            np.sort(kept_faces, axis=1), axis=0, return_inverse=True, return_counts=True
        )
        kept_faces = kept_faces[copies[corner_set] == 1]
        edges = np.sort(kept_faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        uses = np.unique(edges, axis=0, return_counts=True)[1]
        if uses.max() == 2 and (keep_border or uses.min() == 2):
            used, corners = np.unique(kept_faces, return_inverse=True)
            return fewer[used], corners.reshape(kept_faces.shape)
    raise RuntimeError("simplification keeps folding the surface: choose another spacing")


def _finished(solid: Solid, vertices: Floats, faces: NDArray[np.integer], mirrored: str) -> Mesh:
    """Normals, colours and the mirrored parts."""
    normals = _gradient(solid, vertices)
    colors = np.rint(_shaded(solid, vertices, normals))
    for axis in mirrored:
        column = "xyz".index(axis)
        vertices[np.abs(vertices[:, column]) < 1e-6, column] = 0
        on_plane = vertices[:, column] == 0
        image_of = np.arange(len(vertices))
        image_of[~on_plane] = len(vertices) + np.arange(int((~on_plane).sum()))
        flip = np.ones(3)
        flip[column] = -1
        vertices = np.concatenate([vertices, vertices[~on_plane] * flip])
        normals = np.concatenate([normals, normals[~on_plane] * flip])
        colors = np.concatenate([colors, colors[~on_plane]])
        faces = np.concatenate([faces, image_of[faces][:, ::-1]])
    return Mesh(
        vertices.astype(np.float32),
        faces.astype(np.int32),
        normals.astype(np.float32),
        colors.astype(np.uint8),
    )


def _shaded(solid: Solid, vertices: Floats, normals: Floats) -> Floats:
    """Colours as under an even sky: hollows and joints are darker, down to 0.45.

    After A. Evans, "Fast Approximations for Global Illumination on Dynamic Scenes", 2006.
    """
    hidden = np.zeros(len(vertices))
    for step, weight in ((2.0, 0.15), (5.0, 0.25), (10.0, 0.3), (20.0, 0.3)):
        free = _evaluated(solid, vertices + step * normals)
        hidden += weight * np.clip(1 - free / step, 0, 1)
    colors = solid.color(np.ascontiguousarray(vertices.T))
    return np.asarray(colors * (1 - 0.55 * hidden)[:, None])


def _unit_circle(sides: int) -> Floats:
    """The corners of a regular polygon, (sides, 2)."""
    angles = 2 * np.pi * np.arange(sides) / sides
    return np.round(np.stack([np.cos(angles), np.sin(angles)], axis=1), 12)
