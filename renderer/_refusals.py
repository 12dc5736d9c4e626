"""What no engine can draw, refused alike by all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer._crops import Plans, RenderError

NEAR = 10.0
"""Millimetres: nothing may come closer to the camera than this."""


def refuse_unknown(
    plans: Plans, numbers: NDArray[np.int32], least: int, count: int, kind: str
) -> None:
    """Refuse plans that name a model or texture which is not there.

    Args:
        plans: N crops.
        numbers: (N, ...), positions in a list of `count`.
        least: the least number allowed; -1 where it stands for none.
        count: how many there are.
        kind: "model" or "texture".

    Raises:
        RenderError: a number is out of range.
    """
    wrong = (numbers < least) | (numbers >= count)
    if wrong.any():
        row, place = np.argwhere(wrong)[0]
        raise RenderError(
            f"crop {plans.index[row]} asks for {kind} {numbers[row, place]}, but there are "
            f"{count}: make the plans with the renderer's own list of {kind}s"
        )


def refuse_broken(model: CadModel) -> None:
    """Refuse a model whose arrays do not fit together: compiled loops read without looking.

    Raises:
        RenderError: its mesh is empty, its arrays do not fit, or numbers are not finite.
    """
    mesh = model.mesh
    count = len(mesh.vertices)
    fits = (
        len(mesh.faces) > 0
        and mesh.faces.min() >= 0
        and mesh.faces.max() < count
        and mesh.vertices.shape == mesh.normals.shape == mesh.colors.shape == (count, 3)
        and (mesh.texture is None or mesh.texture.ndim == 3)
        and (mesh.texture_coordinates is None or mesh.texture_coordinates.shape == (count, 2))
    )
    if not fits:
        raise RenderError(
            f"the mesh of {model.name} is empty or its arrays do not fit together: "
            "load it with cad_models"
        )
    if not (np.isfinite(mesh.vertices).all() and np.isfinite(mesh.normals).all()):
        raise RenderError(
            f"the mesh of {model.name} has vertices or normals that are not finite: "
            "load it with cad_models, which says where"
        )
