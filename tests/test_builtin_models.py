"""The committed built-in models: closed surfaces of LINEMOD's sizes and symmetries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from scipy.spatial import ConvexHull, cKDTree
from scipy.spatial.distance import pdist

import cad_models

FOLDER = Path(cad_models.__file__).parent / "builtin"
# Hinterstoisser et al., LINEMOD, as published in the BOP benchmark: millimetres.
DIAMETERS = {
    "ape": 102.099,
    "benchvise": 247.506,
    "bowl": 167.355,
    "cam": 172.492,
    "can": 201.404,
    "cat": 154.546,
    "cup": 124.264,
    "driller": 261.472,
    "duck": 108.999,
    "eggbox": 164.628,
    "glue": 175.889,
    "holepuncher": 145.543,
    "iron": 278.078,
    "lamp": 282.601,
    "phone": 212.358,
}
OBJECT_IDS = {name: object_id for object_id, name in enumerate(DIAMETERS, start=1)}
every_object = pytest.mark.parametrize("name", DIAMETERS)


def model_path(name: str) -> Path:
    return FOLDER / f"obj_{OBJECT_IDS[name]:06d}.ply"


def load(name: str) -> trimesh.Trimesh:
    return trimesh.load(model_path(name), process=False)


def info(name: str) -> dict[str, Any]:
    infos: dict[str, Any] = json.loads((FOLDER / "models_info.json").read_text("utf-8"))
    return infos[str(OBJECT_IDS[name])]


def colors_of(mesh: trimesh.Trimesh) -> np.ndarray:
    return np.asarray(mesh.visual.vertex_colors)[:, :3].astype(float)


def test_names_are_linemods() -> None:
    infos = json.loads((FOLDER / "models_info.json").read_text("utf-8"))
    assert {int(key): value["name"] for key, value in infos.items()} == {
        object_id: name for name, object_id in OBJECT_IDS.items()
    }


@every_object
def test_surface_is_closed_and_turned_outward(name: str) -> None:
    mesh = load(name)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    assert mesh.body_count == 1
    assert np.array_equal(np.unique(mesh.faces), np.arange(len(mesh.vertices)))


@every_object
def test_normals_are_unit_and_agree_with_the_faces(name: str) -> None:
    mesh = load(name)
    normals = mesh.vertex_normals
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    facing = np.einsum("ij,ij->i", mesh.face_normals, normals[mesh.faces].mean(axis=1))
    assert mesh.area_faces[facing < 0].sum() < 0.001 * mesh.area


@every_object
def test_diameter_is_linemods(name: str) -> None:
    corners = load(name).vertices
    diameter = pdist(corners[ConvexHull(corners).vertices]).max()
    assert diameter == pytest.approx(DIAMETERS[name], rel=1e-3)
    assert info(name)["diameter"] == pytest.approx(diameter, abs=1e-3)


@every_object
def test_origin_is_the_centre_of_the_bounding_box(name: str) -> None:
    low, high = load(name).bounds
    np.testing.assert_allclose(low, -high, atol=1e-4)
    facts = info(name)
    np.testing.assert_allclose([facts[f"min_{axis}"] for axis in "xyz"], low, atol=1e-3)
    np.testing.assert_allclose([facts[f"size_{axis}"] for axis in "xyz"], high - low, atol=1e-3)


@every_object
def test_files_stay_small(name: str) -> None:
    assert 3000 <= len(load(name).faces) <= 8000
    assert model_path(name).stat().st_size < 250_000


def test_symmetries_are_declared_for_the_symmetric_objects_only() -> None:
    half_turn = np.diag([-1.0, -1.0, 1.0, 1.0]).ravel().tolist()
    for name in DIAMETERS:
        facts = info(name)
        expected = [half_turn] if name in ("eggbox", "glue") else None
        assert facts.get("symmetries_discrete") == expected
        turning = [{"axis": [0, 0, 1], "offset": [0, 0, 0]}] if name == "bowl" else None
        assert facts.get("symmetries_continuous") == turning


@pytest.mark.parametrize("name", ["eggbox", "glue"])
def test_half_turn_maps_the_object_onto_itself(name: str) -> None:
    mesh = load(name)
    half_turn = np.reshape(info(name)["symmetries_discrete"][0], (4, 4))
    turned = trimesh.transform_points(mesh.vertices, half_turn)
    distance, nearest = trimesh.proximity.ProximityQuery(mesh).vertex(turned)
    assert distance.max() < 1e-4
    assert np.array_equal(colors_of(mesh)[nearest], colors_of(mesh))


@pytest.mark.parametrize("degrees", [1.0, 2.25, 33.3, 90.0, 180.0])
def test_bowl_looks_the_same_at_every_turn_about_z(degrees: float) -> None:
    mesh = load("bowl")
    turn = trimesh.transformations.rotation_matrix(np.radians(degrees), [0, 0, 1])
    off_axis = np.hypot(*mesh.vertices[:, :2].T) > 1e-3
    turned = trimesh.transform_points(mesh.vertices[off_axis], turn)
    _, faces = cKDTree(mesh.triangles_center).query(turned, k=24)
    triangles = mesh.triangles[faces.ravel()]
    nearest = trimesh.triangles.closest_point(triangles, np.repeat(turned, 24, axis=0))
    distance = np.linalg.norm(nearest.reshape(-1, 24, 3) - turned[:, None], axis=2)
    assert distance.min(axis=1).max() < 0.1
    best = np.arange(len(turned)) * 24 + distance.argmin(axis=1)
    weights = trimesh.triangles.points_to_barycentric(triangles[best], nearest[best])
    there = np.einsum("ij,ijk->ik", weights, colors_of(mesh)[mesh.faces[faces.ravel()[best]]])
    assert np.abs(there - colors_of(mesh)[off_axis]).max() < 8


@pytest.mark.parametrize(
    ("name", "sides"),
    [("duck", "+x"), ("iron", "-x"), ("cup", "-x"), ("phone", "-y")],
)
def test_objects_face_as_linemods_do(name: str, sides: str) -> None:
    """The duck's beak, the iron's cord, the cup's rim beside its handle, the phone's handset."""
    mesh = load(name)
    axis, sign = "xyz".index(sides[1]), 1 if sides[0] == "+" else -1
    feature = {
        "duck": colors_of(mesh)[:, 1] < 0.62 * colors_of(mesh)[:, 0],
        "iron": mesh.vertices[:, 2] > 0.97 * mesh.bounds[1, 2],
        "cup": mesh.vertices[:, 2] > 0.97 * mesh.bounds[1, 2],
        "phone": mesh.vertices[:, 2] > 0.5 * mesh.bounds[1, 2],
    }[name]
    assert (sign * mesh.vertices[feature, axis]).mean() > 5


QUICKLY_MADE = ("bowl", "glue", "duck")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICKLY_MADE else pytest.mark.several_seconds)
        for name in DIAMETERS
    ],
)
def test_models_are_made_again_byte_for_byte(name: str) -> None:
    pytest.importorskip("skimage", reason="making models needs scikit-image")
    pytest.importorskip("fast_simplification", reason="making models needs fast-simplification")
    from cad_models.builtin.make_models import make_mesh, ply_bytes

    assert ply_bytes(make_mesh(OBJECT_IDS[name])) == model_path(name).read_bytes()


def test_the_command_writes_a_folder_of_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With symmetries of both kinds, and with none."""
    pytest.importorskip("skimage", reason="making models needs scikit-image")
    pytest.importorskip("fast_simplification", reason="making models needs fast-simplification")
    from cad_models.builtin.make_models import main

    ids = [OBJECT_IDS[name] for name in QUICKLY_MADE]
    arguments = ["make_models", "--out", str(tmp_path / "new"), "--objects", *map(str, ids)]
    monkeypatch.setattr("sys.argv", arguments)
    main()
    for name in QUICKLY_MADE:
        made = tmp_path / "new" / model_path(name).name
        assert made.read_bytes() == model_path(name).read_bytes()
    infos = json.loads((tmp_path / "new/models_info.json").read_text("utf-8"))
    assert infos == {str(OBJECT_IDS[name]): info(name) for name in QUICKLY_MADE}
