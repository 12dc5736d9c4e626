"""Small models whose images are known exactly."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cad_models import CadModel, ContinuousSymmetry, Mesh, Symmetries


def model_of(
    vertices: ArrayLike,
    faces: ArrayLike,
    colors: ArrayLike = (200, 200, 200),
    normals: ArrayLike | None = None,
    *,
    name: str = "shape",
    symmetries: Symmetries | None = None,
    **texture: Any,
) -> CadModel:
    """A model with flat normals (of each vertex's last face) unless `normals` are given."""
    points = np.asarray(vertices, np.float32)
    triangles = np.asarray(faces, np.int32)
    if normals is None:
        corners = points[triangles]
        flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals = np.zeros_like(points)
        normals[triangles] = (flat / np.linalg.norm(flat, axis=1, keepdims=True))[:, None]
    mesh = Mesh(
        vertices=points,
        faces=triangles,
        normals=np.asarray(normals, np.float32),
        colors=np.broadcast_to(np.asarray(colors, np.uint8), points.shape).copy(),
        **texture,
    )
    diameter = float(np.linalg.norm(points[:, None] - points[None], axis=-1).max())
    return CadModel(name, 1, mesh, diameter, symmetries or Symmetries(), "test", "0" * 64)


def rectangle(left: float, top: float, right: float, bottom: float, **options: Any) -> CadModel:
    """In the plane z = 0, facing -z: towards a camera that looks along +z. y points down."""
    corners = [(left, top, 0), (right, top, 0), (right, bottom, 0), (left, bottom, 0)]
    return model_of(corners, [(0, 2, 1), (0, 3, 2)], **options)


def ball(radius: float, centre: ArrayLike = (0, 0, 0), subdivisions: int = 4) -> CadModel:
    """A sphere with exact normals and a colour that varies over it."""
    from trimesh.creation import icosphere

    unit = icosphere(subdivisions)
    normals = np.asarray(unit.vertices)
    colors = np.rint(127.5 * (1 + normals)).astype(np.uint8)
    vertices = radius * normals + np.asarray(centre)
    mesh = Mesh(
        vertices=vertices.astype(np.float32),
        faces=np.asarray(unit.faces, np.int32),
        normals=normals.astype(np.float32),
        colors=colors,
    )
    return CadModel("ball", 2, mesh, 2 * radius, Symmetries(), "test", "0" * 64)


def lopsided() -> CadModel:
    """A closed solid without symmetries, far off its own origin, some triangles large."""
    from trimesh.creation import box, cone
    from trimesh.util import concatenate

    base = box((70, 50, 30))
    spike = cone(20, 90, sections=24)
    spike.apply_translation((25, 10, 10))
    joined = concatenate([base, spike])
    joined.apply_translation((300, -180, 90))
    return model_of(joined.vertices, joined.faces, (180, 90, 40), name="lopsided")


def bottle() -> CadModel:
    """A ball off its origin that looks alike all round its upright axis."""
    symmetry = ContinuousSymmetry((0, 0, 1), (5, 6, 0))
    return dataclasses.replace(ball(30, (5, 6, 7)), symmetries=Symmetries(continuous=(symmetry,)))
