"""Adapters within BlenderProc scripts, with a stand-in for BlenderProc."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from adapter import TargetCut, load_adapter, save_onnx_adapter
from render_adapt import WrongValue, adapt_frames, make_judge
from render_adapt.blenderproc import SceneCrop, SceneError, adapt, crops
from renderer import CropBatch, RasterRenderer, centre_points, plans_from_poses
from tests.blenderproc_scene import MODELS, NOTHING, StandIn, make_frames

SEED = "BLENDER_PROC_RANDOM_SEED"


@pytest.fixture(scope="module")
def frames() -> CropBatch:
    return make_frames(3)


@pytest.fixture
def stand_in(frames: CropBatch, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn(frames, MODELS)
    made.install(monkeypatch)
    return made


@pytest.fixture(scope="module")
def brighter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter without noise: everything is 20 grey levels brighter and 10 mm farther."""
    return save_brighter(tmp_path_factory.mktemp("adapter"), keeps_background=False)


def save_brighter(folder: Path, keeps_background: bool) -> Path:
    change = np.float32([40 / 255] * 3 + [0.05]).reshape(1, 4, 1, 1)
    limits = [numpy_helper.from_array(np.float32(v), n) for n, v in (("low", -1), ("high", 1))]
    nodes = [
        helper.make_node("Add", ["crops", "change"], ["changed"]),
        helper.make_node("Clip", ["changed", "low", "high"], ["adapted"]),
    ]
    shape = ["batch", 4, 64, 64]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("crops", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("adapted", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(change, "change"), *limits],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save_onnx_adapter(
        onnx.ModelProto.SerializeToString(model), folder, channels=4, size=64, noise_dimension=0,
        window_mm=200, cut=TargetCut(centre="mean", window_mm=200, off_axis_degrees=0),
        keeps_background=keeps_background,
    )  # fmt: skip
    return folder


def seen(frames: CropBatch) -> NDArray[np.bool_]:
    return frames.mask_visib | frames.others_mask_visib.any(axis=1)


def test_objects_are_adapted_as_in_frames_of_our_own(
    stand_in: StandIn, frames: CropBatch, brighter: Path
) -> None:
    """Poses, K, scale, units and masks have come through BlenderProc's conventions."""
    data = stand_in.render()
    made = adapt(data, brighter)
    judge = make_judge(brighter, load_adapter(brighter))
    expected = adapt_frames(frames, MODELS, load_adapter(brighter), judge, seed=0)
    np.testing.assert_array_equal(np.stack(made["colors"]), expected.crops.rgb)
    there = frames.depth > 0
    depth = np.stack(made["depth"])
    np.testing.assert_allclose(1000 * depth[there], expected.crops.depth[there], atol=1e-3)
    assert np.abs(1000 * depth - frames.depth)[seen(frames)].mean() > 9
    for row, entries in enumerate(made["adapted"]):
        plans = frames.plans
        fidelity = [expected.scores.fidelity[row], *expected.others.fidelity[row]]
        places = [plans.object_index[row], *plans.others.object_index[row]]
        by_object = {
            MODELS[place].object_id: score
            for place, score in zip(places, fidelity, strict=True)
            if place >= 0 and not np.isnan(score)
        }
        assert by_object == {
            entry["category_id"]: entry["fidelity"]
            for entry in entries
            if entry["fidelity"] is not None
        }
        assert {entry["noise_attempt"] for entry in entries} == {0}


def test_adapters_that_keep_backgrounds_leave_depth(
    stand_in: StandIn, frames: CropBatch, tmp_path: Path
) -> None:
    folder = save_brighter(tmp_path, keeps_background=True)
    data = stand_in.render()
    made = adapt(data, folder)
    adapter = load_adapter(folder)
    expected = adapt_frames(frames, MODELS, adapter, make_judge(folder, adapter), seed=0)
    np.testing.assert_array_equal(np.stack(made["colors"]), expected.crops.rgb)
    assert (np.stack(made["colors"]) != np.stack(data["colors"])).any(axis=-1).sum() > 5000
    np.testing.assert_array_equal(np.stack(made["depth"]), np.stack(data["depth"]))


def test_nothing_else_changes(stand_in: StandIn, frames: CropBatch) -> None:
    data = stand_in.render()
    data["normals"] = [np.zeros((240, 320, 3), np.float32)] * 3
    before = {key: [np.array(value) for value in values] for key, values in data.items()}
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - BlenderProc's scripts draw from it
    made = adapt(data, "linemod-rgbd-fast")
    for key, values in before.items():
        for old, given in zip(values, data[key], strict=True):
            np.testing.assert_array_equal(old, given)
    assert made.keys() == {*data, "adapted"}
    for key in ("instance_segmaps", "instance_attribute_maps", "normals"):
        assert made[key] is data[key]
    where = seen(frames)
    for key in ("colors", "depth"):
        new, old = np.stack(made[key]), np.stack(data[key])
        assert new.dtype == old.dtype
        np.testing.assert_array_equal(new[~where], old[~where])
        assert (new != old)[where].mean() > 0.5
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert stand_in.scene.frame_current == 1


def test_distance_and_transparency_are_taken_as_they_are(
    stand_in: StandIn, frames: CropBatch, brighter: Path
) -> None:
    """As depth, but along each pixel's ray; alone or beside it."""
    data = stand_in.render()
    k = stand_in.k
    x, y = (np.arange(320) - k[0, 2]) / k[0, 0], (np.arange(240) - k[1, 2]) / k[1, 1]
    rays = np.sqrt(1 + x**2 + y[:, None] ** 2)
    distance = [np.where(z < NOTHING, z * rays, NOTHING).astype(np.float32) for z in data["depth"]]
    made = adapt(data, brighter)
    both = adapt({**data, "distance": distance}, brighter)
    alone = adapt(
        {**{k: v for k, v in data.items() if k != "depth"}, "distance": distance}, brighter
    )
    for row in range(3):
        np.testing.assert_array_equal(both["depth"][row], made["depth"][row])
        there = data["depth"][row] < NOTHING
        for result in (both, alone):
            np.testing.assert_allclose(
                (result["distance"][row] / rays)[there], made["depth"][row][there], atol=2e-6
            )
            assert (result["distance"][row] == NOTHING)[~there].all()
        assert np.abs(alone["colors"][row].astype(int) - made["colors"][row]).max() <= 1
    alpha = np.arange(240 * 320, dtype=np.uint8).reshape(240, 320, 1)
    transparent = [np.concatenate([picture, alpha], axis=2) for picture in data["colors"]]
    for new, old in zip(
        adapt({**data, "colors": transparent}, brighter)["colors"], made["colors"], strict=True
    ):
        np.testing.assert_array_equal(new, np.concatenate([old, alpha], axis=2))


def by_pass_index(data: dict[str, Any], stand_in: StandIn) -> None:
    data["instance_attribute_maps"] = [
        [{"idx": entry["idx"]} for entry in entries] for entries in data["instance_attribute_maps"]
    ]


def by_names_alone(data: dict[str, Any], stand_in: StandIn) -> None:
    """As `bproc.renderer.render_segmap` numbers objects: in an order of its own."""
    data["instance_segmaps"] = [12 - values for values in data["instance_segmaps"]]
    for entries in data["instance_attribute_maps"]:
        for entry in entries:
            entry["idx"] = 12 - entry["idx"]
    for entity in stand_in.entities:
        entity.blender_obj.pass_index = 0


def by_category(data: dict[str, Any], stand_in: StandIn) -> None:
    ids = np.array([0] + [entity.get_cp("category_id") for entity in stand_in.entities])
    data["category_id_segmaps"] = [ids[values] for values in data.pop("instance_segmaps")]
    del data["instance_attribute_maps"]


@pytest.mark.parametrize("segmentation", [by_pass_index, by_names_alone, by_category])
def test_each_kind_of_segmentation_serves(
    stand_in: StandIn, brighter: Path, segmentation: Callable[[dict[str, Any], StandIn], None]
) -> None:
    made = adapt(stand_in.render(), brighter)
    data = stand_in.render()
    segmentation(data, stand_in)
    for key in ("colors", "depth"):
        np.testing.assert_array_equal(np.stack(adapt(data, brighter)[key]), np.stack(made[key]))


def test_objects_that_are_not_asked_for_stay(
    stand_in: StandIn, frames: CropBatch, brighter: Path
) -> None:
    data = stand_in.render()
    cat, duck = stand_in.entities[4:]
    stand_in.entities[2].hidden = True
    stand_in.entities[3].properties.clear()
    labelled = adapt(data, brighter)
    chosen = adapt(data, brighter, target_objects=[cat, duck])
    for made, numbers in ((labelled, (2, 5, 6)), (chosen, (5, 6))):
        where = np.isin(np.stack(data["instance_segmaps"]), numbers)
        differs = (np.stack(made["colors"]) != np.stack(data["colors"])).any(axis=-1)
        assert not differs[~where].any()
        assert differs[where].mean() > 0.9


def test_noise_follows_from_the_seed_and_from_what_a_frame_shows(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = stand_in.render()
    monkeypatch.delenv(SEED, raising=False)

    def colors(**settings: Any) -> NDArray[np.uint8]:
        return np.stack(adapt(data, **settings)["colors"])

    unseeded = colors()
    np.testing.assert_array_equal(colors(seed=0), unseeded)
    assert (colors(seed=7) != unseeded).any()
    monkeypatch.setenv(SEED, "7")
    np.testing.assert_array_equal(colors(), colors(seed=7))
    np.testing.assert_array_equal(colors(seed=0), unseeded)
    # Whichever number a frame has: scripts render frame 0 of many scenes.
    data = {key: values[::-1] for key, values in data.items()}
    turned = dataclasses.replace(stand_in.frames[np.array([2, 1, 0])])
    again = StandIn(turned, MODELS)
    again.install(monkeypatch)
    np.testing.assert_array_equal(colors(seed=0), unseeded[::-1])


def test_what_is_not_faithful_enough_is_left_as_rendered(stand_in: StandIn) -> None:
    data = stand_in.render()
    made = adapt(data, min_fidelity=1.0, redraws=0)
    for row, entries in enumerate(made["adapted"]):
        judged = [entry for entry in entries if entry["fidelity"] is not None]
        assert {entry["noise_attempt"] for entry in judged} == {-1}
        numbers = [
            stand_in.models.index(m) + 2
            for m in MODELS
            for e in judged
            if m.object_id == e["category_id"]
        ]
        where = np.isin(data["instance_segmaps"][row], numbers)
        np.testing.assert_array_equal(made["colors"][row][where], data["colors"][row][where])


def draw_again(crop: SceneCrop) -> CropBatch:
    """A crop's object alone, by the crop's own K and pose."""
    (place,) = (k for k, model in enumerate(MODELS) if model.object_id == crop.category_id)
    plans = plans_from_poses(
        MODELS, [place], [crop.rotation], 500.0, size=len(crop.rgb), canonical=False
    )
    k = crop.camera_matrix.copy()
    k[:2, 2] += 0.5
    plans = dataclasses.replace(plans, translation=crop.translation[None], camera_matrix=k[None])
    return RasterRenderer(MODELS, levels=False).render(plans)


CENTRES: list[tuple[int, Literal["mean", "box", "origin"]]] = [
    (64, "mean"), (128, "box"), (64, "origin"),
]  # fmt: skip


@pytest.mark.parametrize(("size", "centre"), CENTRES)
def test_crops_show_what_their_own_k_and_pose_say(
    stand_in: StandIn, size: int, centre: Literal["mean", "box", "origin"]
) -> None:
    data = stand_in.render()
    cut = crops(data, size=size, window=180.0, centre=centre)
    assert {crop.frame for crop in cut} == {0, 1, 2}
    overlaps = []
    for crop in cut:
        drawn = draw_again(crop)
        silhouette = drawn.mask[0]
        assert not (crop.mask_visib & ~dilated(silhouette)).any()
        both = crop.mask_visib & silhouette
        assert np.median(np.abs(crop.depth - drawn.depth[0])[both]) < 1.0
        overlaps.append(both.sum() / silhouette.sum())
        place = drawn.plans.object_index
        point = crop.rotation @ centre_points(MODELS, centre)[place][0] + crop.translation
        middle = crop.camera_matrix @ point / point[2]
        assert np.abs(middle[:2] + 0.5 - size / 2).max() <= size / 64
        number = 2 + int(place[0])
        seen_in_frame = data["instance_segmaps"][crop.frame] == number
        colors = crop.rgb[crop.mask_visib].mean(axis=0)
        in_frame = data["colors"][crop.frame][seen_in_frame].mean(axis=0)
        assert np.abs(colors - in_frame).max() < 6
    assert np.median(overlaps) > 0.9


def dilated(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((3, 3))) > 0)


def test_crops_of_adapted_frames_are_adapted(stand_in: StandIn, brighter: Path) -> None:
    data = stand_in.render()
    before, after = crops(data), crops(adapt(data, brighter))
    assert len(before) == len(after) > 5
    for old, new in zip(before, after, strict=True):
        assert (old.frame, old.name) == (new.frame, new.name)
        np.testing.assert_array_equal(old.mask_visib, new.mask_visib)
        inner = ~dilated(~old.mask_visib)
        assert np.median((new.rgb.astype(int) - old.rgb)[inner]) == pytest.approx(20, abs=1)
        assert np.median((new.depth - old.depth)[inner]) == pytest.approx(10, abs=1)


def test_objects_whose_window_leaves_the_frame_have_no_crop(stand_in: StandIn) -> None:
    data = stand_in.render()
    near, far = (len(crops(data, window=window)) for window in (250.0, 100.0))
    assert near < far
    assert crops(data, window=5000.0) == []
    with pytest.raises(WrongValue):
        crops(data, size=3)


FAULTS: dict[str, Callable[[dict[str, Any], StandIn], object]] = {
    "enable_depth_output": lambda data, _: data.pop("depth"),
    "enable_segmentation_output": lambda data, _: data.pop("instance_segmaps"),
    "render": lambda data, _: data.pop("colors"),
    "2 depth and 3 camera poses": lambda data, _: data["depth"].pop(),
    "4 instance_attribute_maps and 3": lambda data, _: data["instance_attribute_maps"].append([]),
    "distortion": lambda data, _: data.update(colors=[np.zeros((24, 32, 3), np.uint8)] * 3),
    "8 bits": lambda data, _: data.update(colors=[np.zeros((240, 320, 3), np.uint16)] * 3),
    "several channels": lambda data, _: data.update(depth=[np.ones((240, 320, 3))] * 3),
    "no camera pose": lambda _, stand_in: setattr(stand_in.scene, "frame_end", 0),
    "after all objects are loaded": lambda _, stand_in: setattr(
        stand_in.entities[3].blender_obj, "pass_index", 0
    ),
    "no vertices": lambda _, stand_in: setattr(
        stand_in.entities[2], "vertices", np.empty((0, 3), np.float32)
    ),
    "no object of the scene is labelled": lambda _, stand_in: [
        entity.properties.clear() for entity in stand_in.entities
    ],
}


@pytest.mark.parametrize("word", FAULTS)
def test_what_is_missing_is_said_in_one_sentence(stand_in: StandIn, word: str) -> None:
    data = stand_in.render()
    FAULTS[word](data, stand_in)
    with pytest.raises(SceneError, match=word) as caught:
        adapt(data)
    assert "\n" not in str(caught.value)


def test_categories_that_objects_share_need_instances(stand_in: StandIn) -> None:
    data = stand_in.render()
    by_category(data, stand_in)
    stand_in.entities[5].properties["category_id"] = stand_in.entities[4].get_cp("category_id")
    with pytest.raises(SceneError, match=r'map_by=\["instance", "name"\]'):
        adapt(data)


def test_objects_that_are_asked_for_need_a_category(stand_in: StandIn) -> None:
    with pytest.raises(SceneError, match="Plane is among `target_objects` without a category_id"):
        adapt(stand_in.render(), target_objects=stand_in.entities[:2])


@pytest.mark.parametrize("setting", [{"seed": -1}, {"min_fidelity": 1.5}, {"redraws": -1}])
def test_settings_are_checked_before_the_scene_is(
    frames: CropBatch, setting: dict[str, Any]
) -> None:
    with pytest.raises(WrongValue) as caught:
        adapt(StandIn(frames, MODELS).render(), **setting)
    assert caught.value.name in setting


@pytest.mark.parametrize("given", ["-1", "seven"])
def test_seeds_are_whole_numbers(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv(SEED, given)
    with pytest.raises(SceneError, match=f"{SEED} is {given}"):
        adapt(stand_in.render())


def test_it_is_for_scripts_of_blenderproc(frames: CropBatch) -> None:
    assert "blenderproc" not in sys.modules
    with pytest.raises(SceneError, match="BlenderProc is not running"):
        adapt(StandIn(frames, MODELS).render())
