"""Makes the built-in models: `python -m cad_models.builtin.make_models [--out DIR]`.

Writes one binary PLY for each object, and `models_info.json`, in the layout of a BOP models folder.
Needs scikit-image and fast-simplification, which nothing else here does.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cad_models._model import Mesh
from cad_models.builtin import _shapes
from cad_models.builtin._meshing import (
    measured_diameter,
    mesh_from_profile,
    mesh_from_solid,
    resized,
)
from cad_models.builtin._signed_distance import Outline, Solid

HALF_TURN = [-1.0, 0, 0, 0, 0, -1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0]
ABOUT_Z = {"axis": [0, 0, 1], "offset": [0, 0, 0]}


@dataclass(frozen=True)
class Recipe:
    """How one object is made: its shape, LINEMOD's diameter in mm, and its symmetry about z.

    An object with a `profile` is that profile turned about z, the same at every angle.
    """

    shape: Callable[[], Solid]
    diameter: float
    face_count: int = 6000
    half_turn: bool = False
    profile: Outline | None = None

    @property
    def spacing(self) -> float:
        """Of the grid that the shape is sampled on: an odd number, so that flat faces at round
        coordinates do not lie in its nodes."""
        return min(self.diameter / 120, 1.4871)

    @property
    def name(self) -> str:
        return self.shape.__name__


RECIPES = {
    1: Recipe(_shapes.ape, 102.099),
    2: Recipe(_shapes.benchvise, 247.506),
    3: Recipe(_shapes.bowl, 167.355, profile=_shapes.BOWL_PROFILE),
    4: Recipe(_shapes.cam, 172.492),
    5: Recipe(_shapes.can, 201.404),
    6: Recipe(_shapes.cat, 154.546),
    7: Recipe(_shapes.cup, 124.264),
    8: Recipe(_shapes.driller, 261.472),
    9: Recipe(_shapes.duck, 108.999),
    10: Recipe(_shapes.eggbox, 164.628, half_turn=True),
    11: Recipe(_shapes.glue, 175.889, half_turn=True),
    12: Recipe(_shapes.holepuncher, 145.543),
    13: Recipe(_shapes.iron, 278.078),
    14: Recipe(_shapes.lamp, 282.601),
    15: Recipe(_shapes.phone, 212.358),
}
"""By BOP object id."""


def make_mesh(object_id: int) -> Mesh:
    """One built-in model, centred, at its full size."""
    recipe = RECIPES[object_id]
    if recipe.profile is not None:
        mesh = mesh_from_profile(recipe.shape(), recipe.profile, sides=80)
    else:
        mirrored = "xy" if recipe.half_turn else ""
        mesh = mesh_from_solid(recipe.shape(), recipe.face_count, recipe.spacing, mirrored)
    return resized(mesh, recipe.diameter)


def ply_bytes(mesh: Mesh) -> bytes:
    """The mesh as a binary little-endian PLY with normals and vertex colours."""
    properties = [f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")]
    properties += [f"property uchar {name}" for name in ("red", "green", "blue")]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(mesh.vertices)}",
        *properties,
        f"element face {len(mesh.faces)}",
        "property list uchar int vertex_indices",
        "end_header",
        "",
    ]
    vertex = np.dtype([("position", "<f4", 3), ("normal", "<f4", 3), ("color", "u1", 3)])
    vertices = np.empty(len(mesh.vertices), dtype=vertex)
    vertices["position"], vertices["normal"] = mesh.vertices, mesh.normals
    vertices["color"] = mesh.colors
    faces = np.empty(len(mesh.faces), dtype=np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    faces["count"], faces["corners"] = 3, mesh.faces
    return "\n".join(header).encode("ascii") + vertices.tobytes() + faces.tobytes()


def model_info(object_id: int, mesh: Mesh) -> dict[str, object]:
    """The object's entry in BOP's `models_info.json`."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    info: dict[str, object] = {
        "name": RECIPES[object_id].name,
        "diameter": round(measured_diameter(mesh.vertices), 4),
    }
    info |= {f"min_{axis}": round(float(low[i]), 4) for i, axis in enumerate("xyz")}
    info |= {f"size_{axis}": round(float(high[i] - low[i]), 4) for i, axis in enumerate("xyz")}
    if RECIPES[object_id].half_turn:
        info["symmetries_discrete"] = [HALF_TURN]
    if RECIPES[object_id].profile is not None:
        info["symmetries_continuous"] = [ABOUT_Z]
    return info


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the built-in models.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="DIR")
    parser.add_argument("--objects", type=int, nargs="*", default=list(RECIPES), metavar="ID")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    infos = {}
    for object_id in arguments.objects:
        mesh = make_mesh(object_id)
        (arguments.out / f"obj_{object_id:06d}.ply").write_bytes(ply_bytes(mesh))
        infos[str(object_id)] = model_info(object_id, mesh)
    text = json.dumps(infos, indent=2) + "\n"
    (arguments.out / "models_info.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
