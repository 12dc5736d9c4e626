"""A mesh wherever a scene shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cad_models._mesh.checked import RawMesh


def placed(part: RawMesh, transforms: Sequence[NDArray[np.float64]]) -> RawMesh:
    """The part once for each (4, 4) transform; faces of mirrored ones are turned."""
    count, uv = len(transforms), part.texture_coordinates
    linear = [transform[:3, :3] for transform in transforms]
    vertices = [part.vertices @ m[:3, :3].T + m[:3, 3] for m in transforms]
    faces = [
        (part.faces[:, ::-1] if np.linalg.det(m) < 0 else part.faces) + number * len(part.vertices)
        for number, m in enumerate(linear)
    ]
    normals = part.normals
    if normals is not None:
        normals = np.concatenate([normals @ np.linalg.pinv(m) for m in linear])
    return replace(
        part,
        vertices=np.concatenate(vertices),
        faces=np.concatenate(faces),
        normals=normals,
        colors=None if part.colors is None else np.tile(part.colors, (count, 1)),
        texture_coordinates=None if uv is None else np.tile(uv, (count, 1)),
    )
