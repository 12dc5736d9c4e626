"""What `strong` takes of a scene is, to the bit, what it was before captures were made faster."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from cad_models import load_models
from renderer import RANDOMIZATIONS, PlanConfig, RasterRenderer, capture, make_plans

TEXTURE = np.full((8, 8, 3), 90, np.uint8)
PHOTOGRAPH = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
STRONG = RANDOMIZATIONS["strong"]
KINDS = {
    "strong": STRONG,
    "photographs": replace(
        STRONG, background=("photographs", "procedural", "black"), photographs=Path(__file__).parent
    ),
    "gaussian": replace(STRONG, background=("board",), depth_sensor="gaussian"),
    "long blur": replace(STRONG, motion_blur=(3.0, 9.0), focus_blur=(1.0, 3.0)),
}
ARRAYS = ("rgb", "depth", "mask_visib", "others_mask_visib")


def taken(kind: str, seed: int, size: int, count: int) -> str:
    models = load_models(("ape", "bowl", "duck"))
    plans = make_plans(PlanConfig(size=size), models, seed, 5, 5 + count, KINDS[kind], textures=1)
    renders = RasterRenderer(models, levels=False, textures=[TEXTURE]).render(plans)
    crops = capture(renders, KINDS[kind], seed, models, [PHOTOGRAPH])
    digest = hashlib.sha256()
    for name in ARRAYS:
        digest.update(np.ascontiguousarray(getattr(crops, name)).tobytes())
    return digest.hexdigest()


RECORDED = {
    ("strong", 1, 64, 40): "9d5fdfd9d67f8e57a7d456a0aaffe78b924449b5df098734a92ad34b1f60a434",
    ("strong", 7, 64, 40): "6cb0fb210b89d2a53c2b0bf4e3cf328e907bf2d0cbaa50c83dd7e9192d7dd360",
    ("strong", 2**31, 64, 40): "ad7bf71d8a404164dcc919328ab3e6e46b28e684ddf8bb9e7a85a5940797e25f",
    ("strong", 3, 256, 4): "7550df3b1fe4f545fc2a106422eefa5fda3b83f0a25031c51b2d507fa4ea28c8",
    ("strong", 5, 33, 12): "2d419b274346a19cb7c84471f3d5c578a52f0a720c807b253f9ba86ba3c405c7",
    ("photographs", 2, 64, 24): "fb9081ef5b0f76a792507483eb148f7ce3dba4769e6ba5794bbdecef59e88318",
    (
        "gaussian",
        4,
        64,
        24,
    ): "816d981ac3f96885edfa2dc1e5ae5a300a27d2b22b4ec22e9204551fe2fd0ae2",
    ("long blur", 6, 64, 24): "c3b1731785e8f758e878fcf060d1fca1d34734c54eadb48d02b84a885de7aeb0",
}  # fmt: skip


@pytest.mark.skipif(
    not (np.__version__.startswith("2.4.") and cv2.__version__.startswith("5.0.")),
    reason="other versions of numpy and OpenCV may round otherwise",
)
@pytest.mark.parametrize(("kind", "seed", "size", "count"), RECORDED)
def test_captures_have_the_bytes_that_were_recorded(
    kind: str, seed: int, size: int, count: int
) -> None:
    assert taken(kind, seed, size, count) == RECORDED[kind, seed, size, count]
