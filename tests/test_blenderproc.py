"""Adapters within BlenderProc scripts, by BlenderProc's own `blenderproc run`, where it is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.blenderproc_page import LINE, page_script, without_line
from benchmarks.blenderproc_runs import CHECKOUT, environment, lay_out_blender, run_script
from cad_models import load_models
from render_adapt import CropConfig, crop_dataset, load, verify
from renderer import RasterRenderer, plans_from_poses
from tests.blenderproc_scene import MODELS, StandIn, make_frames

LOOK = """
import json, sys
def kind(value):
    return [kind(value[0])] if isinstance(value, list) else (
        {key: kind(part) for key, part in value.items()} if isinstance(value, dict)
        else f"{value.dtype} {value.ndim}" if hasattr(value, "dtype") else type(value).__name__)
rendered = data
found = {"data": kind(data), "numbers": [obj.blender_obj.pass_index for obj in objects],
    "names": [obj.get_name() for obj in objects]}
"""
"""What BlenderProc gives."""
WRITE = """
cut = render_adapt.blenderproc.crops(data)
np.savez(arguments.output + ".npz", rgb=[crop.rgb for crop in cut],
    k=[crop.camera_matrix for crop in cut], translation=[crop.translation for crop in cut],
    before=rendered["depth"], segmentation=rendered["instance_segmaps"],
    after=render_adapt.blenderproc.adapt(rendered, "linemod-rgbd-fast")["depth"])
with open(arguments.output + ".json", "w") as file:
    json.dump({**found, "modules": sorted(sys.modules)}, file)
bproc.writer.write_hdf5(arguments.output + "_hdf5", data)
"""


class Blenderproc:
    """Runs scripts by `blenderproc run`, with few rays."""

    def __init__(self, folder: Path, environment: Path) -> None:
        self._folder, self._environment = folder, environment
        self._blender = lay_out_blender(folder / "blender", environment)

    def run(self, name: str, script: str) -> Path:
        """The dataset that a script wrote."""
        file, out = self._folder / f"{name}.py", self._folder / name
        file.write_text(script)
        arguments = [CHECKOUT / "cad_models/builtin", out, "--samples", 2]
        result = run_script(self._blender, self._environment, file, arguments, seed=3, seconds=900)
        assert result.returncode == 0, result.stdout
        return out


@pytest.fixture(
    scope="module", params=[pytest.param("installed", marks=pytest.mark.several_seconds)]
)
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the script of docs/blenderproc.md writes, twice, and what it writes without the line."""
    folder = environment()
    if folder is None:
        pytest.skip("BlenderProc is not here: make blenderproc")
    blenderproc = Blenderproc(tmp_path_factory.mktemp("blenderproc"), folder)
    # Masks are made by bop_toolkit, which BlenderProc downloads.
    script = page_script().replace("depth_scale=0.1", "depth_scale=0.1, calc_mask_info_coco=False")
    return {
        "adapted": blenderproc.run("adapted", script.replace(LINE, LOOK + LINE + WRITE)),
        "again": blenderproc.run("again", script),
        "rendered": blenderproc.run("rendered", without_line(script)),
    }


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_blenderproc_gives_what_the_stand_in_gives(
    datasets: dict[str, Path],
) -> None:
    found = json.loads(datasets["adapted"].with_suffix(".json").read_text())
    data = StandIn(make_frames(1), MODELS).render()
    assert found["data"] == {
        key: [f"{values[0].dtype} {values[0].ndim}"] for key, values in data.items()
        if key != "instance_attribute_maps"
    } | {"instance_attribute_maps": [[{"idx": "int", "name": "str"}]]}  # fmt: skip
    assert found["numbers"] == [2, 3, 4, 5]
    assert found["names"] == [f"obj_{number:06d}" for number in (1, 5, 6, 9)]
    assert not {"torch", "numba", "pyarrow"} & set(found["modules"])


def test_the_line_changes_pictures_of_objects_and_no_label(datasets: dict[str, Path]) -> None:
    """By BlenderProc's own writer; objects are where poses and K of its dataset say."""
    adapted, rendered = files_of(datasets["adapted"]), files_of(datasets["rendered"])
    assert adapted == files_of(datasets["again"])
    assert adapted.keys() == rendered.keys()
    changed = {name for name in adapted if adapted[name] != rendered[name]}
    # The adapter that comes with the package leaves depth.
    assert changed == {f"train_pbr/000000/rgb/{k:06d}.png" for k in (0, 1)}
    scene = datasets["rendered"] / "train_pbr/000000"
    off = dict.fromkeys((0.0, 0.5, 1.0), 0)
    for image in range(2):
        drawn = silhouettes(scene, image, 0.5)
        before, after = (
            cv2.imread(str(datasets[name] / f"train_pbr/000000/rgb/{image:06d}.png")).astype(int)
            for name in ("rendered", "adapted")
        )
        differs = (before != after).any(axis=2)
        assert not differs[~cv2.dilate(drawn, np.ones((3, 3))).astype(bool)].any()
        inner = cv2.erode(drawn, np.ones((3, 3))).astype(bool)
        assert differs[inner].mean() > 0.95
        for centre in off:
            off[centre] += (differs ^ silhouettes(scene, image, centre)).sum()
    # Its K has the first pixel's centre at (0, 0), ours at (0.5, 0.5).
    assert off[0.5] < 0.5 * min(off[0.0], off[1.0])


def test_adapters_that_make_depth_change_that_of_objects(datasets: dict[str, Path]) -> None:
    within = np.load(datasets["adapted"].with_suffix(".npz"))
    moved, objects = within["after"] - within["before"], within["segmentation"] > 1
    assert (moved[~objects] == 0).all()
    assert 0.001 < np.median(np.abs(moved[objects])) < 0.02
    assert within["after"].dtype == np.float32


def silhouettes(scene: Path, image: int, centre: float) -> NDArray[np.uint8]:
    """(H, W), where the objects are by an image's poses and K, moved so that the first pixel's
    centre, which is at (0, 0) in it, is at (centre, centre)."""
    entries = json.loads((scene / "scene_gt.json").read_text())[str(image)]
    camera = json.loads((scene / "scene_camera.json").read_text())[str(image)]
    k = np.array(camera["cam_K"]).reshape(3, 3)
    k[:2, 2] += centre
    models = load_models(
        [str(entry["obj_id"]) for entry in entries], models=CHECKOUT / "cad_models/builtin"
    )
    masks = []
    for place, entry in enumerate(entries):
        plans = plans_from_poses(
            models, [place], [np.array(entry["cam_R_m2c"]).reshape(3, 3)], 500.0, size=640,
            canonical=False,
        )  # fmt: skip
        plans = dataclasses.replace(
            plans, translation=np.array([entry["cam_t_m2c"]]), camera_matrix=k[None], height=480
        )
        masks.append(RasterRenderer(models, levels=False).render(plans).mask[0])
    return np.any(masks, axis=0).astype(np.uint8)


def test_its_datasets_are_read_and_cut_into_the_same_crops(
    datasets: dict[str, Path], tmp_path: Path
) -> None:
    """Out of the files that BlenderProc wrote, and within its script."""
    config = CropConfig(tmp_path / "crops", models=CHECKOUT / "cad_models/builtin")
    summary = crop_dataset(datasets["adapted"], config)
    assert verify(summary.folder, workers=1).bad == ()
    from_files = list(load(summary.folder))
    within = np.load(datasets["adapted"].with_suffix(".npz"))
    assert len(from_files) == len(within["rgb"]) > 4
    for crop, rgb, k, translation in zip(
        from_files, within["rgb"], within["k"], within["translation"], strict=True
    ):
        np.testing.assert_array_equal(rgb, crop.rgb)
        assert crop.pixel_centre == 0
        np.testing.assert_allclose(k, crop.camera_matrix, rtol=1e-6)
        np.testing.assert_allclose(translation, crop.translation[0], rtol=1e-5)


def test_what_became_of_objects_is_written_with_the_frames(datasets: dict[str, Path]) -> None:
    h5py = pytest.importorskip("h5py")
    folder = datasets["adapted"].with_name("adapted_hdf5")
    for image in range(2):
        with h5py.File(folder / f"{image}.hdf5") as file:
            entries = json.loads(bytes(file["adapted"][()]))
        assert [entry["category_id"] for entry in entries] == [1, 5, 6, 9]
        assert {entry["noise_attempt"] for entry in entries} == {0}
