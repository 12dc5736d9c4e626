"""What PVNet and GDRNPP read, step by step as their code does."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from cad_models import load_models
from render_adapt import RunConfig, SettingError, generate, load, merge, verify

FORMATS = ("bop", "pvnet", "xyz-crop")


def made(out: Path, **changes: Any) -> Path:
    settings = {
        "objects": ("ape", "duck"), "n": 6, "seed": 3, "adapter": "none", "workers": 1,
        "frames": "320x240", "objects_per_frame": 2, "distance": (500, 700), "format": FORMATS,
        "out": out,
    }  # fmt: skip
    generate(RunConfig(**{**settings, **changes}))
    return out


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("estimators") / "d")


def test_they_are_verified(frames: Path) -> None:
    assert verify(frames, workers=1).bad == ()


def projected(
    points: NDArray[np.float64], k: NDArray[np.float64], pose: NDArray[np.float64]
) -> NDArray[np.float64]:
    """As `base_utils.project` of PVNet."""
    seen = (points @ pose[:, :3].T + pose[:, 3:].T) @ k.T
    return seen[:, :2] / seen[:, 2:]


def test_pvnet_has_each_objects_frames(frames: Path) -> None:
    """Colours, masks, poses and K belong together: the posed model covers its mask."""
    whole = load(frames)
    for object_id, name in ((1, "ape"), (9, "duck")):
        root = frames / "pvnet" / name
        k = np.loadtxt(root / "camera.txt")
        np.testing.assert_array_equal(k, whole[0].camera_matrix)
        mesh = trimesh.load(root / "model.ply", process=False)
        diameter = np.loadtxt(root / "diameter.txt").item()
        (model,) = load_models([name])
        assert diameter == pytest.approx(model.diameter / 1000, rel=1e-12)
        np.testing.assert_allclose(mesh.vertices, model.mesh.vertices / 1000, atol=1e-6)
        np.testing.assert_array_equal(mesh.faces, model.mesh.faces)
        showing = [
            (crop, number)
            for crop in whole
            for number in np.flatnonzero(crop.object_id == object_id)
            if crop.visib_fract[number] >= 0.1
        ]
        assert len(list((root / "rgb").iterdir())) == len(showing) > 2
        for frame, (crop, number) in enumerate(showing):
            rgb = cv2.imread(str(root / f"rgb/{frame}.jpg"))[..., ::-1]
            assert np.abs(rgb.astype(int) - crop.rgb).mean() < 2
            mask = cv2.imread(str(root / f"mask/{frame}.png"), cv2.IMREAD_UNCHANGED) != 0
            np.testing.assert_array_equal(mask, crop.mask_visib[number])
            pose = np.load(root / f"pose/pose{frame}.npy", allow_pickle=False)
            np.testing.assert_array_equal(pose[:, :3], crop.rotation[number])
            np.testing.assert_allclose(pose[:, 3] * 1000, crop.translation[number], rtol=1e-12)
            pixels = projected(np.asarray(mesh.vertices), k, pose)
            rows, columns = np.nonzero(crop.mask[number])
            for axis, used in enumerate((columns, rows)):
                if used.min() > 0 and used.max() < (319, 239)[axis]:
                    # Tips may end between the middles of pixels.
                    assert abs(pixels[:, axis].min() - used.min()) < 1.5
                    assert abs(pixels[:, axis].max() - used.max()) < 1.5


def test_pvnets_keypoints_are_those_of_its_own_sampling(frames: Path) -> None:
    """Of distances in single precision, as its code in C++ computes them."""
    mesh = trimesh.load(frames / "pvnet/duck/model.ply", process=False)
    points = np.asarray(mesh.vertices, np.float32)
    nearest = ((points - (points.max(axis=0) + points.min(axis=0)) / 2) ** 2).sum(axis=1)
    found = []
    for _ in range(8):
        found.append(points[nearest.argmax()])
        nearest = np.minimum(nearest, ((points - found[-1]) ** 2).sum(axis=1))
    np.testing.assert_allclose(np.loadtxt(frames / "pvnet/duck/fps.txt"), found, atol=1e-6)


def read_coordinates(dataset: Path, scene: int, image: int, number: int) -> NDArray[np.float32]:
    """As `read_data` of GDRNPP's data_loader.py: (H, W, 3), metres."""
    path = dataset / f"xyz_crop/{scene:06d}/{image:06d}_{number:06d}-xyz.pkl"
    info = pickle.loads(path.read_bytes())
    x1, y1, x2, y2 = info["xyxy"]
    assert info["xyz_crop"].dtype == np.float16
    xyz = np.zeros((240, 320, 3), np.float32)
    xyz[y1 : y2 + 1, x1 : x2 + 1, :] = info["xyz_crop"]
    return xyz


def test_gdrnpps_coordinates_project_to_their_pixels(frames: Path) -> None:
    cameras = json.loads((frames / "train/000000/scene_camera.json").read_text())
    for crop in load(frames):
        k = np.array(cameras[str(crop.im_id)]["cam_K"]).reshape(3, 3)
        for number in range(len(crop.object_id)):
            xyz = read_coordinates(frames, 0, crop.im_id, number)
            mask = (xyz != 0).any(axis=2)
            # The whole silhouette, whatever hides it.
            np.testing.assert_array_equal(mask, crop.mask[number])
            pose = np.column_stack([crop.rotation[number], crop.translation[number] / 1000])
            own = xyz[mask].astype(np.float64)
            rows, columns = np.nonzero(mask)
            pixels = projected(own, k, pose)
            assert np.abs(pixels - np.stack([columns, rows], axis=1)).max() < 0.1
            depth = 1000 * (own @ pose[:, :3].T + pose[:, 3])[:, 2]
            seen = crop.mask_visib[number][mask]
            assert np.abs(depth - crop.depth[mask])[seen].max() < 0.2


def test_what_is_pickled_needs_nothing_but_numpys_arrays(frames: Path) -> None:
    """So that any version of numpy reads it."""
    import pickletools

    file = next((frames / "xyz_crop/000000").iterdir())
    words = [argument for _, argument, _ in pickletools.genops(file.read_bytes())]
    assert {word for word in words if isinstance(word, str)} == {
        "xyz_crop", "xyxy", "numpy", "ndarray", "<f2",
    }  # fmt: skip


def test_splits_and_merged_sets_have_them_too(frames: Path, tmp_path: Path) -> None:
    halves = made(tmp_path / "halves", n=4, seed=9, split="train:0.01,test:0.99")
    assert verify(halves, workers=1).bad == ()
    assert len(list((halves / "pvnet_test/ape/rgb").iterdir())) == 1
    out = tmp_path / "merged"
    merge([frames, halves], out)
    assert verify(out, workers=1).bad == ()
    theirs = sorted(path for path in (halves / "xyz_crop_test/000001").iterdir())
    ours = sorted(path for path in (out / "xyz_crop_test/000002").iterdir())
    assert [path.read_bytes() for path in ours] == [path.read_bytes() for path in theirs]


def test_pvnet_is_of_frames_and_of_scenes(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="crops have a K each"):
        RunConfig(("ape",), n=1, out=tmp_path, format=("bop", "pvnet"))
    for name in ("pvnet", "xyz-crop"):
        with pytest.raises(SettingError, match="is made of bop's files"):
            RunConfig(("ape",), n=1, out=tmp_path, frames="64x48", format=(name,))
