"""The generator that paints objects: what it leaves alone, to the bit, and how it joins layers."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from adapter import (  # noqa: E402
    ADAPTERS,
    FAR,
    SHIPPED_ADAPTER,
    Adapter,
    AdapterError,
    IdentityAdapter,
    TrainConfig,
    architecture_of,
    draw_noise,
    export_onnx,
    load_adapter,
    read_info,
    save_onnx_adapter,
)
from adapter._networks.layered import Slopes, Softened  # noqa: E402
from adapter._networks.patches import inner  # noqa: E402
from cad_models import load_models  # noqa: E402
from render_adapt import adapt_crops  # noqa: E402
from renderer import (  # noqa: E402
    RANDOMIZATIONS,
    CropBatch,
    PlanConfig,
    RasterRenderer,
    capture,
    make_plans,
)

CONFIG = TrainConfig(architecture="layered", noise_dimension=3, width=8, blocks=1)
NEIGHBOURS = np.ones((3, 3), np.uint8)
"""A pixel and the eight around it."""


def generator(size: int, seed: int = 0) -> nn.Module:
    """One that paints something else than it sees, in evaluation mode."""
    torch.manual_seed(seed)
    network = architecture_of(CONFIG).build(4, size, CONFIG)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.startswith("paint."):
                weight.normal_(0.0, 0.5)
    return network.eval()


@cache
def network_of(size: int) -> nn.Module:
    return generator(size)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of 64 pixels, as a training would save it but for its weights."""
    out = tmp_path_factory.mktemp("layered") / "adapter"
    network = architecture_of(CONFIG).export(network_of(64), 4, 64, CONFIG.noise_dimension)
    save_onnx_adapter(
        network, out, channels=4, size=64, noise_dimension=CONFIG.noise_dimension,
        window_mm=200.0, keeps_background=True,
    )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def layered(folder: Path) -> Adapter:
    return load_adapter(folder)


def random_crops(size: int, count: int, seed: int) -> NDArray[np.float32]:
    """(N, 4, S, S): any colours, and smooth shapes of any place and depth before nothing."""
    random = np.random.default_rng(seed)
    colors = random.uniform(-1, 1, (count, 3, size, size)).astype(np.float32)
    colors[:, :, ::5] = np.round(colors[:, :, ::5])  # full black and white among them
    coarse = random.normal(0, 1, (count, size // 4, size // 4)).astype(np.float32)
    shapes = np.stack([cv2.resize(one, (size, size)) for one in coarse]) > 0.4
    depth = random.uniform(-1, FAR - 0.01, (count, size, size))
    nothing = random.choice([FAR, 0.995, 1.0], (count, size, size))
    depth = np.where(shapes, depth, nothing).astype(np.float32)
    return np.concatenate([colors, depth[:, None]], axis=1)


def far_from_objects(masks: NDArray[np.bool_], pixels: int = 1) -> NDArray[np.bool_]:
    grown = [cv2.dilate(one.astype(np.uint8), NEIGHBOURS, iterations=pixels) for one in masks]
    return np.stack(grown) == 0


def by_torch(
    crops: NDArray[np.float32], noise: NDArray[np.float32], size: int
) -> NDArray[np.float32]:
    with torch.no_grad():
        made = network_of(size)(torch.from_numpy(crops), torch.from_numpy(noise))
    result: NDArray[np.float32] = made.numpy()
    return result


def assert_only_objects_changed(
    before: NDArray[np.float32], after: NDArray[np.float32], least: float = 0.05
) -> None:
    np.testing.assert_array_equal(after[:, 3], before[:, 3])
    assert np.abs(after).max() <= 1
    masks = before[:, 3] < FAR
    change = np.abs(after[:, :3] - before[:, :3]).max(axis=1)
    np.testing.assert_array_equal(change[far_from_objects(masks)], 0)
    assert change[masks].mean() > least


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), size=st.sampled_from([16, 24, 40]))
def test_depth_and_what_is_behind_stay_to_the_bit(seed: int, size: int) -> None:
    crops = random_crops(size, 3, seed)
    noise = draw_noise(seed, np.arange(3), CONFIG.noise_dimension)
    assert_only_objects_changed(crops, by_torch(crops, noise, size))


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_so_it_is_through_onnx_runtime_which_agrees(layered: Adapter, seed: int) -> None:
    crops = random_crops(64, 5, seed)
    noise = draw_noise(seed, np.arange(5), CONFIG.noise_dimension)
    made = layered.adapt(crops, noise)
    assert_only_objects_changed(crops, made)
    np.testing.assert_allclose(made, by_torch(crops, noise, 64), atol=2e-5)


def test_colors_of_no_finite_inverse_are_painted_too(layered: Adapter) -> None:
    """Full black and full white are where tanh never comes."""
    crops = np.zeros((2, 4, 64, 64), np.float32)
    crops[0, :3], crops[1, :3] = -1, 1
    made = layered.adapt(crops, draw_noise(0, np.arange(2), CONFIG.noise_dimension))
    assert np.isfinite(made).all()
    assert np.abs(made).max() <= 1
    assert (np.abs(made[:, :3] - crops[:, :3]).mean(axis=(1, 2, 3)) > 0.02).all()


def test_what_is_behind_decides_how_an_object_is_painted_but_is_not_painted() -> None:
    crops = random_crops(32, 1, 3)
    crops[0, 3] = 1.0
    crops[0, 3, 12:20, 12:20] = 0.0
    other = crops.copy()
    other[0, :3, :, :4] = -other[0, :3, :, :4]
    noise = np.zeros((1, CONFIG.noise_dimension), np.float32)
    first, second = by_torch(crops, noise, 32), by_torch(other, noise, 32)
    assert np.abs(first - second)[0, :3, 12:20, 12:20].max() > 1e-4
    assert_only_objects_changed(other, second, 0)


def test_noise_decides_how_objects_look() -> None:
    crops = random_crops(32, 4, 0)
    looks = [
        by_torch(crops, draw_noise(k, np.arange(4), CONFIG.noise_dimension), 32) for k in (0, 1)
    ]
    masks = crops[:, 3] < FAR
    assert np.abs(looks[0] - looks[1]).max(axis=1)[masks].mean() > 1e-3


def test_an_untrained_one_gives_renders_nearly_back() -> None:
    torch.manual_seed(0)
    network = architecture_of(CONFIG).build(4, 32, CONFIG).eval()
    crops = random_crops(32, 4, 0)
    with torch.no_grad():
        made = network(torch.from_numpy(crops), torch.zeros(4, CONFIG.noise_dimension)).numpy()
    # Colours at 1 are scaled to 0.97, so that they have an inverse.
    assert np.abs(made - crops).max() < 0.05


def rendered(size: int, background: str, count: int = 12, **changes: Any) -> CropBatch:
    """Crops of two objects with something behind, others before and beside the target."""
    models = load_models(["ape", "duck"])
    randomization = replace(
        RANDOMIZATIONS["linemod"], background=(background,), neighbours=(0, 1), occluders=(0, 1),
        **changes,
    )  # fmt: skip
    plans = make_plans(PlanConfig(size=size), models, 1, 0, count, randomization)
    crops = RasterRenderer(models, levels=False).render(plans)
    return capture(crops, randomization, 1, models)


def objects_of(crops: CropBatch) -> NDArray[np.bool_]:
    return np.asarray(crops.mask_visib | crops.others_mask_visib.any(axis=1))


@pytest.mark.parametrize("background", ["board", "procedural", "black"])
def test_a_runs_crops_keep_what_is_behind_objects_and_their_depth(
    layered: Adapter, background: str
) -> None:
    crops = rendered(64, background)
    adapted = adapt_crops(crops, layered, 0, 200.0)
    np.testing.assert_array_equal(adapted.depth, crops.depth)
    np.testing.assert_array_equal(adapted.mask_visib, crops.mask_visib)
    objects = objects_of(crops)
    far = far_from_objects(objects)
    assert (far.mean() > 0.2) & (objects.mean() > 0.1)
    np.testing.assert_array_equal(adapted.rgb[far], crops.rgb[far])
    assert np.abs(adapted.rgb.astype(int) - crops.rgb)[crops.mask_visib].mean() > 10


@pytest.mark.parametrize("size", [128, 256])
def test_so_do_larger_crops_but_for_a_pixel_of_the_adapters(layered: Adapter, size: int) -> None:
    """What is carried over is the change, which ends a pixel of the smaller crop from objects."""
    crops = rendered(size, "board", 4)
    adapted = adapt_crops(crops, layered, 0, 200.0)
    np.testing.assert_array_equal(adapted.depth, crops.depth)
    objects = objects_of(crops)
    far = far_from_objects(objects, 3 * size // 64)
    np.testing.assert_array_equal(adapted.rgb[far], crops.rgb[far])
    assert np.abs(adapted.rgb.astype(int) - crops.rgb)[crops.mask_visib].mean() > 10


def test_a_sensors_holes_and_noise_leave_no_trace_in_colors(layered: Adapter) -> None:
    exact = rendered(64, "board", 24)
    measured = rendered(64, "board", 24, depth_sensor="structured-light")
    assert (measured.depth == 0)[measured.mask_visib].any()
    first, second = (adapt_crops(crops, layered, 0, 200.0) for crops in (exact, measured))
    alone = ~exact.others_mask_visib.any(axis=(1, 2, 3))
    assert alone.sum() > 3
    np.testing.assert_array_equal(second.rgb[alone], first.rgb[alone])
    assert (second.rgb != measured.rgb)[measured.mask_visib & (measured.depth == 0)].any()
    np.testing.assert_array_equal(second.depth, measured.depth)


@settings(max_examples=30)
@given(
    mask=hnp.arrays(np.bool_, st.tuples(st.just(2), st.integers(1, 12), st.integers(1, 12))),
)
def test_softened_masks_are_opencvs(mask: NDArray[np.bool_]) -> None:
    kernel = np.array([1, 2, 1], np.float32) / 4
    with torch.no_grad():
        found = Softened()(torch.from_numpy(mask[:, None].astype(np.float32))).numpy()[:, 0]
    expected = [
        cv2.sepFilter2D(
            one.astype(np.float32), cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REPLICATE
        )
        for one in mask
    ]
    np.testing.assert_array_equal(found, expected)  # sixteenths are exact


def test_the_outline_is_where_a_softened_mask_is_half() -> None:
    """Of a straight edge, between the pixels that have it between them."""
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 4:] = 1
    soft = Softened()(mask)[0, 0, 3]
    assert soft.tolist() == [0, 0, 0, 0.25, 0.75, 1, 1, 1]


@settings(max_examples=30)
@given(across=st.floats(-0.1, 0.1), down=st.floats(-0.1, 0.1))
def test_slopes_of_a_plane_are_its_slopes(across: float, down: float) -> None:
    """Between the neighbours on both sides; a quarter of depth's range is the most."""
    y, x = np.mgrid[:9, :11].astype(np.float32)
    depth = (across * (x - 5) + down * (y - 4))[None, None].astype(np.float32)
    mask = np.zeros_like(depth)
    mask[..., 1:8, 2:9] = 1
    with torch.no_grad():
        slopes = Slopes()(torch.from_numpy(depth), torch.from_numpy(mask)).numpy()[0]
    expected = np.zeros((2, 9, 11))
    expected[0, 1:8, 3:8] = 8 * across
    expected[1, 2:7, 2:9] = 8 * down
    np.testing.assert_allclose(slopes, expected, atol=1e-5)


def test_slopes_end_where_they_count_as_steep() -> None:
    depth = torch.arange(6.0).expand(1, 1, 6, 6)
    slopes = Slopes()(depth, torch.ones(1, 1, 6, 6))
    assert slopes[0, 0, 2].tolist() == [0, 1, 1, 1, 1, 0]


@settings(max_examples=30)
@given(
    mask=hnp.arrays(np.bool_, st.tuples(st.just(2), st.integers(1, 12), st.integers(1, 12))),
    pixels=st.integers(0, 3),
)
def test_the_inside_of_masks_is_opencvs(mask: NDArray[np.bool_], pixels: int) -> None:
    side = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    found = inner(torch.from_numpy(mask[:, None].astype(np.float32)), pixels).numpy()[:, 0]
    expected = [cv2.erode(one.astype(np.uint8), side) for one in mask]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("channels", "size", "changes", "pattern"),
    [
        (3, 64, {}, "needs depth: give it crops with 4 channels"),
        (4, 64, {"noise_dimension": 0}, "`noise_dimension` 1 or more"),
        (4, 28, {}, "a multiple of 8"),
    ],
)
def test_what_it_cannot_be_is_refused(
    channels: int, size: int, changes: dict[str, Any], pattern: str
) -> None:
    config = replace(CONFIG, **changes)
    with pytest.raises(AdapterError, match=pattern):
        architecture_of(config).build(channels, size, config)


def test_the_description_says_that_backgrounds_stay(folder: Path, tmp_path: Path) -> None:
    info = read_info(folder)
    assert info.keeps_background
    description = json.loads((folder / "adapter.json").read_text())
    assert description["keeps_background"] is True
    (tmp_path / "generator.onnx").write_bytes((folder / "generator.onnx").read_bytes())
    for said, expected in ((False, False), (None, False)):
        fields = {**description, "keeps_background": said}
        if said is None:
            del fields["keeps_background"]
        (tmp_path / "adapter.json").write_text(json.dumps(fields))
        assert read_info(tmp_path).keeps_background is expected


@pytest.mark.parametrize("value", ["true", 1, 0, None, [True], {"of": 1}])
def test_another_kind_of_answer_is_refused(folder: Path, tmp_path: Path, value: object) -> None:
    fields = json.loads((folder / "adapter.json").read_text())
    (tmp_path / "adapter.json").write_text(json.dumps({**fields, "keeps_background": value}))
    with pytest.raises(AdapterError, match="a 'keeps_background' that is not a bool"):
        read_info(tmp_path)


def test_others_descriptions_say_nothing_of_it() -> None:
    assert not IdentityAdapter().info.keeps_background
    assert not read_info(ADAPTERS["linemod-rgbd-fast"]).keeps_background
    assert read_info(SHIPPED_ADAPTER).keeps_background


def test_the_exported_network_warns_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    export_onnx(network_of(16), 4, 16, CONFIG.noise_dimension)
    assert [str(warning.message) for warning in recwarn] == []
