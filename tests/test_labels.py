"""Label facts are counted as bop_toolkit counts them."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from cad_models import load_models
from render_adapt import box_corners, coco_annotation, decode_mask, encode_mask, label_crops
from renderer import (
    RANDOMIZATIONS,
    FakeRenderer,
    FrameConfig,
    Instances,
    PlanConfig,
    Plans,
    RasterRenderer,
    Renderer,
    Surfaces,
    make_frame_plans,
    make_plans,
    plans_from_poses,
)
from tests.shapes import ball, lopsided, model_of, rectangle

NO_BOX = (-1, -1, -1, -1)
MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(MASKS)
def test_run_lengths_decode_to_the_mask_in_pycocotools(mask: np.ndarray) -> None:
    """Also where pixel (0, 0) is foreground, which bop_toolkit's own encoder inverts."""
    lengths = json.loads(json.dumps(encode_mask(mask)))
    encoded = coco_mask.frPyObjects(lengths, *mask.shape)
    np.testing.assert_array_equal(coco_mask.decode(encoded).astype(bool), mask)
    np.testing.assert_array_equal(decode_mask(lengths, mask.shape), mask)


@given(MASKS.filter(np.any))
def test_coco_box_holds_the_mask_tightly(mask: np.ndarray) -> None:
    entry = coco_annotation(
        annotation_id=1,
        image_id=0,
        category_id=1,
        whole=mask,
        visible=mask,
        ignore=False,
    )
    encoded = coco_mask.frPyObjects(entry["segmentation"], *mask.shape)
    np.testing.assert_array_equal(coco_mask.toBbox(encoded), entry["bbox"])
    assert coco_mask.area(encoded) == entry["area"]


def test_truncated_silhouettes_are_counted_beyond_the_border() -> None:
    """The bench vise is 247 mm across: a 200 mm window cuts it, a 600 mm window does not."""
    models = load_models(["benchvise"])
    renderer = RasterRenderer(models, levels=False)
    plans = make_plans(PlanConfig(), models, 0, 0, 20)
    crops = renderer.render(plans)
    wide = renderer.render(make_plans(PlanConfig(size=192, window=600.0), models, 0, 0, 20))
    labels = label_crops(crops, renderer, models)
    truncated = 0
    for row, (label,) in enumerate(labels):
        assert label.px_count_all == wide.mask[row].sum()
        rows, columns = np.nonzero(wide.mask[row])
        assert label.bbox_obj == (
            columns.min() - 64, rows.min() - 64, np.ptp(columns), np.ptp(rows)
        )  # fmt: skip
        assert label.px_count_visib == crops.mask[row].sum()
        assert label.visib_fract == pytest.approx(crops.mask[row].sum() / wide.mask[row].sum())
        truncated += label.visib_fract < 1
    assert truncated >= 5


CLUTTER = dataclasses.replace(
    RANDOMIZATIONS["linemod"], occluders=(0, 2), neighbours=(0, 2), off_centre=0.4,
    zoom=(0.5, 1.5), occlusion=0.9,
)  # fmt: skip
SHAPES = [lopsided(), ball(60, (5, -80, 30)), rectangle(-10, -20, 30, 40)]


@given(
    seed=st.integers(0, 10**6), frames=st.booleans(), off_axis=st.just(0.0) | st.floats(0, 50)
)  # fmt: skip
@settings(max_examples=20, deadline=None)
def test_counts_are_those_of_every_object_rendered_alone(
    seed: int, frames: bool, off_axis: float
) -> None:
    """As bop_toolkit's calc_gt_info: all of each object on the canvas, nearest wins in the crop."""
    models = SHAPES[:2]
    renderer = RasterRenderer(models, levels=False)
    if frames:
        config = FrameConfig(width=60, height=44, objects=4, distance=(350, 900))
        plans = make_frame_plans(config, models, seed, 0, 3)
    else:
        plans = make_plans(PlanConfig(size=32, off_axis=off_axis), models, seed, 0, 6, CLUTTER)
    crops = renderer.render(plans)
    labels = label_crops(crops, renderer, models)
    for row in range(len(plans)):
        others = np.flatnonzero(plans.others.object_index[row] >= 0)
        alone = [each_alone(renderer, plans, row, None)]
        alone += [each_alone(renderer, plans, row, other) for other in others]
        assert len(alone) == len(labels[row])
        height, width = plans.height, plans.width
        within = np.s_[height : 2 * height, width : 2 * width]
        nearest = np.min([np.where(depth > 0, depth, np.inf) for depth in alone], axis=0)[within]
        for depth, label in zip(alone, labels[row], strict=True):
            visible = (depth[within] > 0) & (depth[within] <= nearest)
            assert label.px_count_all == (depth > 0).sum()
            assert label.px_count_valid == (depth[within] > 0).sum()
            assert label.px_count_visib == visible.sum()
            expected = visible.sum() / max((depth > 0).sum(), 1)
            assert label.visib_fract == pytest.approx(expected)
            assert 0 <= label.visib_fract <= 1
            whole = tight_box(depth > 0, width, height)
            assert label.bbox_obj == (whole if visible.any() else NO_BOX)
            assert label.bbox_visib == tight_box(visible, 0, 0)


def each_alone(renderer: Renderer, plans: Plans, row: int, other: int | None) -> np.ndarray:
    """Depth on the canvas of an object by itself: a crop's target, or another of its objects."""
    posed, at = (plans, row) if other is None else (plans.others, (row, other))
    canvas = plans.camera_matrix[[row]] + [
        [0, 0, plans.width], [0, 0, plans.height], [0, 0, 0]
    ]  # fmt: skip
    single = dataclasses.replace(
        plans[row : row + 1],
        object_index=np.array([posed.object_index[at]], np.int32),
        rotation=posed.rotation[at][None],
        translation=posed.translation[at][None],
        others=Instances.none(1),
        surfaces=Surfaces.plain(1),
        camera_matrix=canvas,
        width=3 * plans.width,
        height=3 * plans.height,
    )
    return renderer.render(single).depth[0]


def tight_box(mask: np.ndarray, left: int, top: int) -> tuple[int, int, int, int]:
    if not mask.any():
        return NO_BOX
    rows, columns = np.nonzero(mask)
    return (
        int(columns.min()) - left, int(rows.min()) - top, int(np.ptp(columns)), int(np.ptp(rows))
    )  # fmt: skip


def test_an_object_of_two_parts_is_counted_though_nothing_of_it_touches_the_border() -> None:
    """One part in the middle of the crop, the other beyond it: the border itself stays empty."""
    parts = [rectangle(-10, -10, 10, 10).mesh, rectangle(140, -10, 160, 10).mesh]
    vertices = np.concatenate([part.vertices for part in parts])
    faces = np.concatenate([parts[0].faces, parts[1].faces + 4])
    model = model_of(vertices, faces)
    plans = plans_from_poses([model], [0], np.eye(3)[None], 500, size=100)
    plans = dataclasses.replace(plans, translation=np.array([[0.0, 0, 500]]))
    renderer = RasterRenderer([model], levels=False)
    crops = renderer.render(plans)
    assert crops.mask[0].sum() == 100
    assert not crops.mask[0, :, -1].any()
    ((label,),) = label_crops(crops, renderer, [model])
    assert label.px_count_all == 200
    assert label.visib_fract == 0.5
    assert label.bbox_obj == (45, 45, 84, 9)


@given(seed=st.integers(0, 10**6), off_axis=st.floats(0, 60))
@settings(max_examples=20, deadline=None)
def test_box_corners_hold_every_projected_vertex(seed: int, off_axis: float) -> None:
    config = PlanConfig(viewpoints="so3", off_axis=off_axis)
    plans = make_plans(config, SHAPES, seed, 0, 4, CLUTTER)
    for row, corners in enumerate(box_corners(plans, SHAPES)):
        vertices = SHAPES[plans.object_index[row]].mesh.vertices
        points = vertices @ plans.rotation[row].T + plans.translation[row]
        pixels = points @ plans.camera_matrix[row].T
        pixels = pixels[:, :2] / pixels[:, 2:]
        # The hull of the corners, by its extent in many directions.
        angles = np.linspace(0, 2 * np.pi, 40)
        towards = np.stack([np.cos(angles), np.sin(angles)])
        assert ((pixels @ towards).max(axis=0) <= (corners @ towards).max(axis=0) + 1e-3).all()


def test_box_corners_come_in_the_order_that_the_index_says() -> None:
    model = rectangle(-10, -20, 30, 40)
    plans = plans_from_poses([model], [0], np.eye(3)[None], 500, size=100, window=100)
    corners = box_corners(plans, [model])[0]
    expected = [(30, 20), (30, 20), (30, 80), (30, 80), (70, 20), (70, 20), (70, 80), (70, 80)]
    np.testing.assert_allclose(corners, expected, atol=1e-9)


def test_pixels_without_measurement_are_not_valid() -> None:
    renderer = FakeRenderer(SHAPES[:2])
    crops = renderer.render(make_plans(PlanConfig(), SHAPES[:2], 0, 0, 2))
    depth = crops.depth.copy()
    depth[:, :32] = 0
    labels = label_crops(dataclasses.replace(crops, depth=depth), renderer, SHAPES[:2])
    for row, (label,) in enumerate(labels):
        assert label.px_count_valid == crops.mask[row, 32:].sum() < label.px_count_visib
        assert label.visib_fract == 1
