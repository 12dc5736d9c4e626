"""Models folders that are written are read back as they were, by this project and by others."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from cad_models import (
    CadModel,
    ContinuousSymmetry,
    Mesh,
    ModelError,
    Symmetries,
    load_models,
    write_models,
)

HALF_TURN = np.array([[-1.0, 0, 0, 0.25], [0, -1, 0, 1 / 3], [0, 0, 1, 0], [0, 0, 0, 1]])


def random_model(seed: int, points: int, triangles: int, textured: bool) -> CadModel:
    """A soup of triangles with everything that a model can have."""
    rng = np.random.default_rng(seed)
    vertices = rng.uniform(-70, 70, (points, 3)).astype(np.float32)
    faces = np.array([rng.permutation(points)[:3] for _ in range(triangles)])
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "soup.ply"
        trimesh.Trimesh(vertices, faces, process=False).export(path)
        [model] = load_models([f"soup={path}"], units="mm")
    count = len(model.mesh.vertices)
    mesh = replace(
        model.mesh,
        colors=rng.integers(0, 256, (count, 3)).astype(np.uint8),
        texture_coordinates=rng.normal(size=(count, 2)).astype(np.float32) if textured else None,
        texture=rng.integers(0, 256, (5, 9, 3)).astype(np.uint8) if textured else None,
    )
    symmetries = Symmetries(
        HALF_TURN[None], (ContinuousSymmetry((0.6, 0.0, 0.8), (1 / 3, 0.0, -2.5)),)
    )
    return replace(model, mesh=mesh, symmetries=symmetries)


def assert_same_mesh(one: Mesh, other: Mesh) -> None:
    for name, value in vars(one).items():
        if value is None:
            assert getattr(other, name) is None
        else:
            assert_array_equal(getattr(other, name), value)
            assert getattr(other, name).dtype == value.dtype


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 30), st.integers(1, 40), st.booleans())
def test_round_trip(seed: int, points: int, triangles: int, textured: bool) -> None:
    model = random_model(seed, points, triangles, textured)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "models"
        write_models([model], folder)
        [again] = load_models(["soup"], models=folder, units="mm")
        again_by_id = load_models(["101"], models=folder, units="mm")[0]
    assert_same_mesh(model.mesh, again.mesh)
    assert (again.name, again.object_id) == ("soup", 101) == (again_by_id.name, 101)
    assert again.diameter == model.diameter
    assert_array_equal(again.symmetries.discrete, model.symmetries.discrete)
    assert again.symmetries.continuous == model.symmetries.continuous


@pytest.mark.parametrize("textured", [False, True])
def test_trimesh_reads_the_same_arrays(tmp_path: Path, textured: bool) -> None:
    model = random_model(7, 25, 30, textured)
    write_models([model], tmp_path)
    scene = trimesh.load_scene(tmp_path / "obj_000101.ply", process=False, fix_texture=False)
    [read] = scene.geometry.values()
    assert_array_equal(read.vertices, model.mesh.vertices)
    assert_array_equal(read.faces, model.mesh.faces)
    assert_array_equal(read.vertex_normals, model.mesh.normals)
    if textured:
        assert_array_equal(np.asarray(read.visual.material.image), model.mesh.texture)
        assert_array_equal(read.visual.uv, model.mesh.texture_coordinates)
    else:
        assert_array_equal(read.visual.vertex_colors[:, :3], model.mesh.colors)


def test_layout_is_bops(tmp_path: Path) -> None:
    models = [replace(random_model(1, 9, 9, True), object_id=i, name=f"part-{i}") for i in (12, 2)]
    write_models(models, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "models_info.json",
        "obj_000002.ply",
        "obj_000002.png",
        "obj_000012.ply",
        "obj_000012.png",
    ]
    header = (tmp_path / "obj_000002.ply").read_bytes().split(b"end_header\n")[0].decode()
    assert header.splitlines() == [
        "ply",
        "format binary_little_endian 1.0",
        "comment TextureFile obj_000002.png",
        f"element vertex {len(models[0].mesh.vertices)}",
        *(f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")),
        *(f"property uchar {name}" for name in ("red", "green", "blue")),
        *(f"property float {name}" for name in ("texture_u", "texture_v")),
        f"element face {len(models[0].mesh.faces)}",
        "property list uchar int vertex_indices",
    ]
    text = (tmp_path / "models_info.json").read_text()
    assert [line.split(":")[0].strip() for line in text.splitlines()[1:-1]] == ['"2"', '"12"']
    facts = json.loads(text)["2"]
    low, high = models[0].bounds
    assert [facts[f"min_{axis}"] for axis in "xyz"] == low.tolist()
    assert [facts[f"size_{axis}"] for axis in "xyz"] == (high - low).tolist()
    assert facts["diameter"] == models[0].diameter
    assert facts["symmetries_discrete"] == [HALF_TURN.ravel().tolist()]
    assert facts["symmetries_continuous"] == [{"axis": [0.6, 0, 0.8], "offset": [1 / 3, 0, -2.5]}]


def test_the_same_models_give_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        write_models([random_model(5, 20, 30, True)], tmp_path / folder)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


def test_two_models_with_one_id(tmp_path: Path) -> None:
    model = random_model(5, 20, 30, False)
    with pytest.raises(ModelError, match="same object id"):
        write_models([model, replace(model, name="other")], tmp_path)
    assert not list(tmp_path.iterdir())


def test_written_models_load_without_trimesh_and_scipy(tmp_path: Path) -> None:
    """As inside Blender, whose Python has neither."""
    write_models([random_model(3, 20, 30, True)], tmp_path)
    code = (
        "import sys; sys.modules.update(trimesh=None, scipy=None); import cad_models, pathlib; "
        "cad_models.load_models(['soup'], models=pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
