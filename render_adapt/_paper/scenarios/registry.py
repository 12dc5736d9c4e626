"""The scenarios of the tables by name, and what loads each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from render_adapt._paper.scenarios.digits import mnist_to_mnist_m, mnist_to_usps
from render_adapt._paper.scenarios.linemod import linemod_rgb, linemod_rgbd
from render_adapt._paper.scenarios.scenario import Scenario

Load = Callable[[Path, Path], Scenario]
"""A scenario from the data folder, and a folder for crops that are made once."""

SCENARIOS: Mapping[str, Load] = {
    "mnist-usps": mnist_to_usps,
    "mnist-mnistm": mnist_to_mnist_m,
    "linemod-rgb": linemod_rgb,
    "linemod-rgb-photographs": partial(linemod_rgb, background="photographs"),
    "linemod-rgbd-simulated": linemod_rgbd,
}
