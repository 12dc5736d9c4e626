"""How K counts pixels: tools that count centres at integers find objects where they are."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from pyarrow import parquet

from render_adapt import DatasetError, RunConfig, SettingError, generate, load, repair, verify
from renderer import RANDOMIZATIONS
from tests.test_dataset import tree_hash
from tests.test_verify import Scene, sign_again

EVEN_LIGHT = dataclasses.replace(
    RANDOMIZATIONS["linemod"],
    light_intensity=(0.0, 0.0),
    ambient_intensity=(1.0, 1.0),
    light_tint=0.0,
)
"""Pictures show the colours of the models as they are."""
REACH = 63.75
"""Millimetres from the origin: half of 255 steps of half a millimetre."""
SIZES: dict[str, dict[str, Any]] = {
    "crops": {"centre": "mean", "off_axis": 10.0},
    "cut": {"cut_from": "640x480", "camera": (570.0, 572.0, 321.3, 238.9), "size": 128},
    "frames": {"frames": "640x480", "objects_per_frame": 1, "n": 6},
}


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convex mesh whose colours are its coordinates, in steps of half a millimetre."""
    shape = trimesh.creation.icosphere(subdivisions=4)
    steps = np.rint(127.5 + 127 * shape.vertices * [1.0, 0.8, 0.6])
    hull = trimesh.convex.convex_hull(steps)
    colors = np.column_stack([hull.vertices, np.full(len(hull.vertices), 255)]).astype(np.uint8)
    mesh = trimesh.Trimesh(hull.vertices / 2 - REACH, hull.faces, vertex_colors=colors)
    path = tmp_path_factory.mktemp("pebble") / "pebble.ply"
    mesh.export(path)
    return path


def made(folder: Path, mesh: Path, **changes: Any) -> Path:
    settings: dict[str, Any] = {
        "objects": (f"pebble={mesh}",), "n": 20, "seed": 3, "adapter": "none",
        "randomize": EVEN_LIGHT, "distance": (300.0, 500.0), "workers": 1,
    }  # fmt: skip
    generate(RunConfig(**{**settings, "out": folder, **changes}))
    return folder


@dataclasses.dataclass
class View:
    """An image as somebody reads it who knows BOP's format and OpenCV."""

    k: NDArray[np.float64]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    pixels: NDArray[np.float64]
    """(P, 2), column and row of those that show the object."""
    z: NDArray[np.float64]
    rgb: NDArray[np.uint8]


def views(dataset: Path) -> Iterator[View]:
    scene = dataset / "train/000000"
    cameras = json.loads((scene / "scene_camera.json").read_text())
    poses = json.loads((scene / "scene_gt.json").read_text())
    for key, camera in cameras.items():
        (pose,) = poses[key]
        name = f"{int(key):06d}"
        seen = cv2.imread(str(scene / f"mask_visib/{name}_000000.png"), -1) > 0
        depth = cv2.imread(str(scene / f"depth/{name}.png"), -1) * camera["depth_scale"]
        yield View(
            np.reshape(camera["cam_K"], (3, 3)),
            np.reshape(pose["cam_R_m2c"], (3, 3)),
            np.array(pose["cam_t_m2c"]),
            np.argwhere(seen)[:, ::-1].astype(np.float64),
            depth[seen],
            cv2.imread(str(scene / f"rgb/{name}.png"))[..., ::-1][seen],
        )


@pytest.fixture(scope="module", params=SIZES)
def dataset(request: pytest.FixtureRequest, pebble: Path, tmp_path_factory: Any) -> Path:
    return made(tmp_path_factory.mktemp(request.param) / "d", pebble, **SIZES[request.param])


def back_projected(view: View) -> NDArray[np.float64]:
    """(P, 3), what the depth map says of the model's surface, in its own coordinates."""
    rays = np.column_stack([view.pixels, np.ones(len(view.pixels))]) @ np.linalg.inv(view.k).T
    return (rays * view.z[:, None] - view.translation) @ view.rotation


def test_a_depth_map_is_the_models_surface(dataset: Path, pebble: Path) -> None:
    """Back-projected as FoundationPose, SAM-6D, DenseFusion and Open3D do, by pixel indices."""
    mesh = trimesh.load(pebble, process=False)
    reach = (mesh.face_normals * mesh.triangles[:, 0]).sum(axis=1)
    off: list[float] = []
    raised: list[float] = []
    for view in views(dataset):
        view = dataclasses.replace(view, pixels=view.pixels[::20], z=view.z[::20])
        for errors in (off, raised):
            # Of a convex mesh: how far beyond the face that is nearest to being passed.
            beyond = (back_projected(view) @ mesh.face_normals.T - reach).max(axis=1)
            errors.extend(np.abs(beyond))
            view.k[:2, 2] += 0.5
    # Depth is written in steps of 0.1 mm.
    assert np.max(off) <= 0.055
    assert np.median(raised) > 5 * np.median(off)


def test_pnp_on_a_perfect_coordinate_map_gives_the_pose(dataset: Path) -> None:
    """The picture is the map: its colours are the model's coordinates, to half a step."""
    moved, turned, raised = [], [], []
    for view in views(dataset):
        points = view.rgb / 2.0 - REACH
        for k, errors in ((view.k, moved), (view.k + np.outer([1, 1, 0], [0, 0, 0.5]), raised)):
            found, turn, place = cv2.solvePnP(points, view.pixels, k, None)
            assert found
            errors.append(np.linalg.norm(place[:2, 0] - view.translation[:2]))
            if errors is moved:
                rest = cv2.Rodrigues(cv2.Rodrigues(turn)[0] @ view.rotation.T)[0]
                turned.append(np.degrees(np.linalg.norm(rest)))
    assert np.median(moved) < 0.03
    assert np.median(turned) < 0.1
    assert np.median(raised) > 0.2


def test_silhouettes_lie_where_opencv_projects_them(dataset: Path, pebble: Path) -> None:
    """Of a convex object, the mean of its pixels' indices is the centroid of its outline."""
    vertices = np.asarray(trimesh.load(pebble, process=False).vertices, np.float64)
    off = []
    for view in views(dataset):
        turn = cv2.Rodrigues(view.rotation)[0]
        points = cv2.projectPoints(vertices, turn, view.translation, view.k, None)[0]
        moments = cv2.moments(cv2.convexHull(points.astype(np.float32)))
        centroid = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
        off.append(view.pixels.mean(axis=0) - centroid)
    assert np.abs(np.mean(off, axis=0)).max() < 0.02
    assert np.abs(off).max() < 0.1


@pytest.fixture(scope="module")
def both(pebble: Path, tmp_path_factory: Any) -> dict[float, Path]:
    """The same run with K counted in both ways."""
    folder = tmp_path_factory.mktemp("both")
    return {
        centre: made(
            folder / f"d{centre:g}", pebble, n=4, off_axis=8.0, pixel_centre=centre,
            format=("bop", "bop-webdataset"),
        )
        for centre in (0.0, 0.5)
    }  # fmt: skip


def test_only_k_differs(both: dict[float, Path]) -> None:
    integer, corner = both[0.0], both[0.5]
    of_k = ("camera.json", "manifest.json", "scene_camera.json", "000000.parquet")
    others = 0
    for file in sorted(path for path in integer.rglob("*") if path.is_file()):
        twin = corner / file.relative_to(integer)
        if file.name in of_k or file.suffix == ".tar" or "sha256" in file.name:
            continue
        if file.parent.name == "shards":
            continue
        assert file.read_bytes() == twin.read_bytes(), file
        others += 1
    assert others > 4 * 4
    moved = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    for ours, theirs in zip(load(integer), load(corner), strict=True):
        assert (ours.pixel_centre, theirs.pixel_centre) == (0.0, 0.5)
        np.testing.assert_allclose(theirs.camera_matrix - ours.camera_matrix, moved, atol=1e-12)
        np.testing.assert_array_equal(ours.translation, theirs.translation)
    columns = [load(both[centre]).columns for centre in both]
    for name in columns[0]:
        if name == "config_sha256":
            continue
        ours, theirs = (column[name] for column in columns)
        if name in ("camera_matrix", "box_corners"):
            ours = ours + (moved.ravel() if name == "camera_matrix" else 0.5)
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
        else:
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("centre", [0.0, 0.5])
def test_every_file_with_a_k_says_how_it_counts(centre: float, both: dict[float, Path]) -> None:
    """At 0.5, as before there was a choice, the manifest does, and nothing stands beside a K."""
    stated = {"pixel_center": 0.0} if centre == 0 else {}
    folder = both[centre]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["conventions"]["pixel_center"] == centre
    with tarfile.open(folder / "train_web/shard-000000.tar") as archive:
        in_tar = [json.load(archive.extractfile(m)) for m in archive if ".camera." in m.name]
    scene = json.loads((folder / "train/000000/scene_camera.json").read_text())
    shared = json.loads((folder / "camera.json").read_text())
    for entry in (*in_tar, *scene.values(), shared):
        assert {k: v for k, v in entry.items() if k == "pixel_center"} == stated
    assert shared["cx"] == shared["cy"] == 31.5 + centre
    rows = parquet.read_table(folder / "index/000000.parquet").to_pylist()
    for row, entry, tarred in zip(rows, scene.values(), in_tar, strict=True):
        assert row["camera_matrix"] == entry["cam_K"] == tarred["cam_K"]
    assert verify(folder, workers=1).bad == ()


def test_frames_have_linemods_published_k(pebble: Path, tmp_path: Path) -> None:
    folder = made(tmp_path / "d", pebble, frames="640x480", objects_per_frame=1, n=1)
    (view,) = views(folder)
    np.testing.assert_array_equal(
        view.k, [[572.4114, 0, 325.2611], [0, 573.57043, 242.04899], [0, 0, 1]]
    )


@pytest.mark.parametrize("where", ["frames", "cut_from"])
def test_the_cameras_k_is_taken_as_it_is_counted(where: str, pebble: Path, tmp_path: Path) -> None:
    """The same camera, told in two ways, takes the same pictures."""
    kind: dict[str, Any] = {where: "160x120", "n": 2, "window": 150.0}
    if where == "frames":
        kind = {"frames": "160x120", "objects_per_frame": 1, "n": 2}
    integer = made(tmp_path / "i", pebble, camera=(150.0, 151.0, 79.5, 59.25), **kind)
    corner = made(
        tmp_path / "c", pebble, camera=(150.0, 151.0, 80.0, 59.75), pixel_centre=0.5, **kind
    )
    for ours, theirs in zip(load(integer), load(corner), strict=True):
        np.testing.assert_array_equal(ours.rgb, theirs.rgb)
        np.testing.assert_array_equal(ours.depth, theirs.depth)
    if where == "frames":
        np.testing.assert_array_equal(next(views(integer)).k[:2, 2], [79.5, 59.25])
        np.testing.assert_array_equal(next(views(corner)).k[:2, 2], [80.0, 59.75])


def as_before(folder: Path, **settings: Any) -> None:
    """The manifest as it was before there was a choice."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in ("pixel_centre", "repeat_objects"):
        assert name not in manifest
        assert name not in manifest["plan"]
        del manifest["settings"][name]
    manifest["settings"] |= settings
    path.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    sign_again(folder)


BEFORE: dict[str, dict[str, Any]] = {
    "crops": {"off_axis": 8.0, "randomize": "strong"},
    "frames": {"frames": "160x120", "objects_per_frame": 3},
    "cut": {"cut_from": "320x240", "window": 150.0},
}
"""Whose default camera was LINEMOD's published numbers, taken from the picture's corner."""


@pytest.mark.parametrize("kind", BEFORE)
def test_a_dataset_of_before_is_mended_as_it_was(kind: str, pebble: Path, tmp_path: Path) -> None:
    changes = {"n": 3, **BEFORE[kind]}
    scale = {"frames": 4, "cut": 2}.get(kind)
    if scale:
        changes["camera"] = tuple(v / scale for v in (572.4114, 573.57043, 325.2611, 242.04899))
    folder = made(tmp_path / "d", pebble, pixel_centre=0.5, repeat_objects=True, **changes)
    plan = json.loads((folder / "manifest.json").read_text())["plan"]
    if kind == "frames":
        assert plan["camera"] is None
    as_before(folder, camera=None)
    files = {path: path.read_bytes() for path in folder.glob("train/*/*/*")}
    assert len(files) >= 3 * 4
    assert {crop.pixel_centre for crop in load(folder)} == {0.5}
    (folder / "train/000000/rgb/000001.png").write_bytes(b"")
    repair(verify(folder, workers=1), workers=1)
    assert {path: path.read_bytes() for path in folder.glob("train/*/*/*")} == files
    assert verify(folder, workers=1).bad == ()


def test_a_run_goes_on_as_it_began_only(pebble: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"pixel_centre": 0.5, "repeat_objects": True}
    folder = made(tmp_path / "d", pebble, n=4, off_axis=8.0, **settings)
    as_before(folder)
    before = tree_hash(folder)
    with pytest.raises(DatasetError, match=r"pixel_centre only here, plan\.repeat_objects"):
        made(folder, pebble, n=4, off_axis=8.0)
    with pytest.raises(DatasetError, match=r"\(pixel_centre only here\)"):
        made(folder, pebble, n=4, off_axis=8.0, repeat_objects=True)
    assert tree_hash(folder) == before
    made(folder, pebble, n=4, off_axis=8.0, **settings)
    now = made(tmp_path / "now", pebble, n=4, off_axis=8.0)
    with pytest.raises(DatasetError, match=r"pixel_centre only there, plan\.repeat_obj"):
        made(now, pebble, n=4, off_axis=8.0, **settings)


def test_a_k_that_is_counted_otherwise_than_its_run_is_found(
    both: dict[float, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(both[0.0], tmp_path / "d"))
    Scene(folder).change_json("scene_camera", 2, lambda entry: entry.pop("pixel_center"))
    sign_again(folder)
    (bad,) = verify(folder, workers=1).bad
    assert bad.path.name == "scene_camera.json"
    assert "has a K with the first pixel's centre at 0.5, and the run has it at 0" in bad.problem


@pytest.mark.parametrize("centre", [0.25, 1.0, -0.5, float("nan")])
def test_there_are_two_ways_to_count(centre: float) -> None:
    with pytest.raises(SettingError, match=r"`pixel_centre` is .*: it must be 0 or 0\.5"):
        RunConfig(objects=("ape",), n=1, pixel_centre=centre)
