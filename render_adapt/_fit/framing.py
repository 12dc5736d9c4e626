"""What aligned poses say of how crops are framed, and how far their objects are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from render_adapt._fit.estimate import limits
from render_adapt._fit.statistics import tenths
from render_adapt._fit.views import AlignedViews
from renderer import centre_points

_ENDS = (0.05, 0.95)
"""Shares of the distances beyond which one may be a wrong pose's."""


@dataclass(frozen=True)
class Framing:
    """As `Randomization` and `PlanConfig` have it; with the error of the alignment's own."""

    off_centre: float
    """Share of the crop's width."""
    zoom: tuple[float, float]
    distance: tuple[float, float] | None
    """Millimetres; None where there is no depth, by which alone it can be told."""


def framing(views: AlignedViews) -> Framing:
    """How some crops are framed.

    Args:
        views: the crops.
    """
    plans, plan = views.plans, views.plan
    points = centre_points(views.models, plan.centre)[plans.object_index]
    middle = (plans.rotation @ points[:, :, None])[:, :, 0] + plans.translation
    pixel = (plans.camera_matrix @ (middle / middle[:, 2:])[:, :, None])[:, :2, 0]
    off = tenths(np.abs(pixel / plan.size - 0.5).ravel())[1] / 0.9  # even, from 0 on
    window = plan.size * middle[:, 2] / plans.camera_matrix[:, 0, 0]
    least, greatest = limits(tenths(window / plan.window), 10.0)
    distance = None
    if views.has_depth:
        near, far = np.quantile(plans.centre_depth, _ENDS)
        distance = float(near), float(far)
    return Framing(min(off, 1.0), (max(least, 0.1), greatest), distance)
