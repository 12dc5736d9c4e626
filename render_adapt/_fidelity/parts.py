"""How well crops agree with their labels, by edges and by depth: numbers, the greater the better.

Nothing here was trained, and nothing is known of objects but their renders. All is computed in
double precision, so that what processors round otherwise is far below what is written of it.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from render_adapt._fidelity.label_view import LabelView

_SOFT = 30.0
"""Gradient (of 255, by Sobel's sums) that counts as little among stronger ones."""
_AROUND = 6.0
"""Pixels: gradients are measured against those within about this distance."""
_WITHIN = 9
"""Pixels: edges count for what they are more than the mean in a square of this side."""
_INNER_WEIGHT = 0.05
_FARTHEST = 0.2
"""Windows: depth that is farther off than this is simply wrong."""
_MISSING = 1.0
"""Windows: what a pixel of the outline counts where no depth was measured."""
_SURFACE_WEIGHT = 0.5

_ALL_COLORS = np.ones((1, 3))
_SQUARE = np.ones((3, 3), np.uint8)


def edge_agreement(rgb: NDArray[np.uint8], label: LabelView) -> NDArray[np.float64]:
    """Whether edges run along the target's outline, and inside it where its render has some.

    An edge counts by its direction, not by which side is brighter, and against the edges around
    it: a background full of edges agrees with no outline in particular. What is compared is
    gradient structure tensors (Bigun and Granlund, ICCV 1987) with those of the label.

    Args:
        rgb: (N, 64, 64, 3), adapted.
        label: N.

    Returns:
        (N,).
    """
    crops = zip(rgb, label.rgb, label.visible, strict=True)
    return np.array([_edge_agreement(*crop) for crop in crops])


def _edge_agreement(
    rgb: NDArray[np.uint8], label_rgb: NDArray[np.uint8], visible: NDArray[np.bool_]
) -> float:
    edges = _edges(rgb, _SOFT, _AROUND)
    for plane in edges:
        # 0.9: where there is nothing but edges all one way, these still count a little.
        plane -= 0.9 * cv2.blur(plane, (_WITHIN, _WITHIN))
    inside = visible.astype(np.uint8)
    outline = _tensor(*_gradients(inside))
    strength = cv2.sqrt(outline[0] + outline[2])
    length = max(float(strength.sum()), 1.0)
    outline /= np.maximum(strength, 1e-6) * length
    object_rgb = np.asarray(cv2.bitwise_and(label_rgb, label_rgb, mask=inside), np.uint8)
    inner = _edges(object_rgb, _SOFT / 3, _AROUND / 2)
    inner *= cv2.erode(inside, _SQUARE, iterations=2, borderValue=1)
    norm = math.sqrt(_sum(inner, inner))
    return _sum(edges, outline) + _sum(edges, inner) * _INNER_WEIGHT / max(norm, 3.0)


def _edges(rgb: NDArray[np.uint8], soft: float, around: float) -> NDArray[np.float64]:
    """(3, 64, 64): structure tensors xx, xy, yy whose trace is the gradient's relative strength."""
    tensor = _tensor(*_gradients(rgb))
    strength = cv2.sqrt(tensor[0] + tensor[2])
    nearby = cv2.GaussianBlur(strength, (0, 0), around) + soft
    tensor /= strength * nearby + 1e-6
    return tensor


def _gradients(image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # Replicated, the crop's border is no edge.
    across = cv2.Sobel(image, cv2.CV_64F, 1, 0, borderType=cv2.BORDER_REPLICATE)
    down = cv2.Sobel(image, cv2.CV_64F, 0, 1, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(across, np.float64), np.asarray(down, np.float64)


def _tensor(across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 64, 64): xx, xy, yy, summed over colours."""
    products = across * across, across * down, down * down
    if across.ndim == 2:
        return np.stack(products)
    return np.stack([cv2.transform(product, _ALL_COLORS) for product in products])


def _sum(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Over all pixels, of the product of two tensors."""
    # Not by BLAS, whose sums depend on the processor.
    xx, xy, yy = (float((a * b).sum()) for a, b in zip(first, second, strict=True))
    return xx + 2 * xy + yy


def depth_agreement(depth: NDArray[np.float32], label: LabelView) -> NDArray[np.float64]:
    """Minus how far depth is off the pose's, in windows, on the outline and on the surface.

    The outline counts most: where a target has moved, its label's outline lies on what is behind
    it, or where nothing was measured.

    Args:
        depth: (N, 64, 64), adapted, millimetres, 0 = no measurement.
        label: N.

    Returns:
        (N,).
    """
    relative = (depth - label.centre_depth[:, None, None]) / label.window[:, None, None]
    off = np.minimum(np.abs(relative - label.depth), _FARTHEST)
    surface = np.stack([_surface(visible) for visible in label.visible])
    outline = label.visible & ~surface
    missing = depth <= 0
    on_outline = _mean(np.where(missing, _MISSING, off), outline)
    on_surface = _mean(np.where(missing, _FARTHEST, off), surface)
    return -(on_outline + _SURFACE_WEIGHT * on_surface)


def _surface(visible: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without the outermost pixels; the crop's border is not where a target ends."""
    return cv2.erode(visible.astype(np.uint8), _SQUARE, borderValue=1).astype(np.bool_)


def _mean(values: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N,), over the pixels `where`; 0 where there are none."""
    count = where.sum(axis=(1, 2))
    return np.asarray((values * where).sum(axis=(1, 2)) / np.maximum(count, 1))
