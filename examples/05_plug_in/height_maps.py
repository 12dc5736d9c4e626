"""A plug-in of your own: mesh files of a kind that render-adapt does not know.

    pip install examples/05_plug_in
    render-adapt --objects hill=hill.heights --n 20 --adapter none

A `.heights` file is a text: rows of heights above a table, in millimetres and 10 mm apart. The
entry point in `pyproject.toml`, called as the files' extension is, is all that makes it known: to
the command line, Python, verify and the Blender extension alike. Formats of datasets, engines and
adapters are plugged in likewise (docs/extending.md; examples/plug_ins has one of each).
"""

from __future__ import annotations

import numpy as np

from cad_models import ModelError, RawMesh, Source, SourceFiles

SPACING = 10.0
"""Millimetres between two heights."""


def read(files: SourceFiles) -> RawMesh:
    """The surface over the grid, two triangles for each of its squares.

    Raises:
        ModelError: the file is no grid of numbers.
    """
    lines = files.content.decode(errors="replace").split("\n")
    try:
        heights = np.array([line.split() for line in lines if line.strip()], np.float64)
    except ValueError:
        heights = np.empty((0, 0))
    # A sentence for whoever gave the file: what is wrong, and what to do.
    if heights.ndim != 2 or min(heights.shape) < 2:
        raise ModelError(
            f"{files.path} is no grid of heights: give rows of as many numbers, two or more of each"
        )

    rows, columns = np.indices(heights.shape)
    # Vertices (V, 3) in millimetres: x to the right, y away, z up.
    vertices = np.stack([columns * SPACING, -rows * SPACING, heights], axis=-1).reshape(-1, 3)

    number = np.arange(heights.size).reshape(heights.shape)
    corners = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    a, b, c, d = (corner.ravel() for corner in corners)
    # Faces (F, 3), their vertices anticlockwise as seen from above.
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return RawMesh(vertices=vertices, faces=faces)


SOURCE = Source("heights", ("heights",), read)
