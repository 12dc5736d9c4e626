"""Label facts are counted as bop_toolkit counts them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from cad_models import load_models
from render_adapt._coco import coco_annotation, run_lengths
from render_adapt._labels import label_crops
from renderer import PlanConfig, RasterRenderer, make_plans

MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(MASKS)
def test_run_lengths_decode_to_the_mask_in_pycocotools(mask: np.ndarray) -> None:
    """Also where pixel (0, 0) is foreground, which bop_toolkit's own encoder inverts."""
    height, width = mask.shape
    lengths = json.loads(json.dumps(run_lengths(mask)))
    encoded = coco_mask.frPyObjects({"counts": lengths, "size": [height, width]}, height, width)
    np.testing.assert_array_equal(coco_mask.decode(encoded).astype(bool), mask)


@given(MASKS.filter(np.any))
def test_coco_box_holds_the_mask_tightly(mask: np.ndarray) -> None:
    rows, columns = np.nonzero(mask)
    box = (columns.min(), rows.min(), np.ptp(columns), np.ptp(rows))
    entry = coco_annotation(
        annotation_id=1,
        image_id=0,
        category_id=1,
        visible=mask,
        bbox_obj=tuple(int(v) for v in box),
        ignore=False,
    )
    encoded = coco_mask.frPyObjects(entry["segmentation"], *mask.shape)
    np.testing.assert_array_equal(coco_mask.toBbox(encoded), entry["bbox"])
    assert coco_mask.area(encoded) == entry["area"]


def test_truncated_silhouettes_are_counted_beyond_the_border() -> None:
    """The bench vise is 247 mm across: a 200 mm window cuts it, a 600 mm window does not."""
    models = load_models(["benchvise"])
    renderer = RasterRenderer(models)
    plans = make_plans(PlanConfig(), models, 0, 0, 20)
    crops = renderer.render(plans)
    wide = renderer.render(make_plans(PlanConfig(size=192, window=600.0), models, 0, 0, 20))
    labels = label_crops(crops, renderer)
    truncated = 0
    for row, label in enumerate(labels):
        assert label.px_count_all == wide.mask[row].sum()
        rows, columns = np.nonzero(wide.mask[row])
        assert label.bbox_obj == (
            columns.min() - 64, rows.min() - 64, np.ptp(columns), np.ptp(rows)
        )  # fmt: skip
        assert label.px_count_visib == crops.mask[row].sum()
        assert label.visib_fract == pytest.approx(crops.mask[row].sum() / wide.mask[row].sum())
        truncated += label.visib_fract < 1
    assert truncated >= 5
