"""How like real crops a set's are, and whether they are copies.

Every classifier and every feature is made here, on this machine: no weights are fetched.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from adapter import Adapter, encode, memorisation
from adapter._batches import seed_of
from adapter._training.arithmetic import torch_of
from benchmarks.adapter_figures import noise_effect
from benchmarks.real_crops.crops import RealCrops
from benchmarks.real_crops.training import EstimatorSettings
from cad_models import CadModel
from render_adapt import adapt_crops
from render_adapt._align.batches import pictures
from render_adapt._config import plan_as_learnt
from renderer import RasterRenderer, make_plans

Features = Callable[[Tensor], Tensor]
"""(N, 3, 64, 64) crops in [-1, 1] to (N, D)."""

COMPARED = 2000
"""Crops of a set at most."""
CLASSIFIER_STEPS = 300
_SUBSETS, _IN_SUBSET = 20, 500
_STREAM = 63
_RENDERS = 300


def random_features() -> Features:
    """Means and standard deviations of four layers of convolutions that learnt nothing."""
    torch_random = torch.Generator().manual_seed(0)
    widths = (3, 32, 64, 128, 128)
    kernels = [
        torch.randn(after, before, 5, 5, generator=torch_random) * (2 / (25 * before)) ** 0.5
        for before, after in itertools.pairwise(widths)
    ]

    def features(x: Tensor) -> Tensor:
        found = []
        for kernel in kernels:
            x = functional.relu(functional.conv2d(x, kernel, stride=2, padding=2))
            found += [x.mean(dim=(2, 3)), x.std(dim=(2, 3))]
        return torch.cat(found, dim=1)

    return features


def features_of(features: Features, rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, D) of (N, 64, 64, 3)."""
    with torch.inference_mode():
        parts = [features(pictures(rgb[k : k + 128], "cpu")) for k in range(0, len(rgb), 128)]
        return torch.cat(parts).double().numpy()


def kernel_distance(
    first: NDArray[np.float64], second: NDArray[np.float64], scale: NDArray[np.float64]
) -> dict[str, float]:
    """The kernel distance of Binkowski et al. ("Demystifying MMD GANs", ICLR 2018) times 1000.

    The unbiased square of the maximum mean discrepancy with the kernel (x y / D + 1)^3, over 20
    subsets of 500 crops, of features less their means and over their common standard deviation.

    Args:
        first, second: (N, D) and (M, D).
        scale: (K, D), features whose means and common standard deviation these are.

    Returns:
        Its mean and standard deviation over the subsets.
    """
    middle = scale.mean(axis=0)
    # One for all: in what hardly changes among real crops others would be endlessly far.
    spread = np.sqrt(((scale - middle) ** 2).mean()) + 1e-12
    first, second = ((values - middle) / spread for values in (first, second))
    count, random = min(_IN_SUBSET, len(first), len(second)), np.random.default_rng(0)
    found = []
    for _ in range(_SUBSETS):
        x = first[random.choice(len(first), count, replace=False)]
        y = second[random.choice(len(second), count, replace=False)]
        found.append(_discrepancy(x, y))
    return {
        "kid": round(1e3 * float(np.mean(found)), 3),
        "std": round(1e3 * float(np.std(found)), 3),
    }


def _discrepancy(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)

    n = len(x)
    own = [(k.sum() - np.trace(k)) / (n * (n - 1)) for k in (kernel(x, x), kernel(y, y))]
    return float(own[0] + own[1] - 2 * kernel(x, y).mean())


def told_apart(
    rgb: NDArray[np.uint8],
    real: NDArray[np.uint8],
    real_test: NDArray[np.uint8],
    steps: int = CLASSIFIER_STEPS,
) -> float:
    """How well a small network tells a set's crops from real ones: percent right, 50 by guessing.

    It learns on three quarters of the set's crops and on real crops; it is tested on the rest, and
    on other real crops. Both sides count the same.

    Args:
        rgb: (N, 64, 64, 3), the set's.
        real: (M, 64, 64, 3), to learn from.
        real_test: (K, 64, 64, 3).
        steps: to learn in.
    """
    order = np.random.default_rng(1).permutation(len(rgb))
    learnt, test = np.split(rgb[order], [max(1, 3 * len(rgb) // 4)])
    with torch_of(EstimatorSettings("", 0, 0, 0.0, 0)):
        torch.manual_seed(0)
        network = _classifier()
        adam = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
        for step in range(steps):
            random = np.random.default_rng(seed_of(0, step, _STREAM))
            halves = [some[random.integers(0, len(some), 32)] for some in (learnt, real)]
            x = pictures(np.concatenate(halves), "cpu")
            if random.random() < 0.5:
                x = x.flip(3)
            said = network(x)[:, 0]
            is_real = torch.cat([torch.zeros(32), torch.ones(32)])
            loss = functional.binary_cross_entropy_with_logits(said, is_real)
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
        network.eval()
        said_test, said_real = (features_of(network, some)[:, 0] > 0 for some in (test, real_test))
    return round(50 * float((~said_test).mean() + said_real.mean()), 2)


def _classifier() -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 128), (128, 128)):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 1))


def copies(
    rgb: NDArray[np.uint8], real: NDArray[np.uint8], real_test: NDArray[np.uint8]
) -> dict[str, Any]:
    """Whether crops are copies of real ones (`adapter.memorisation`): the figures of (N, 64, 64, 3)
    crops against (M, 64, 64, 3) that they may be of, and others of the same camera."""
    found = memorisation(*(encode(some, None, None) for some in (rgb, real, real_test)))
    return {
        name: None if value is None else round(value, 4) for name, value in asdict(found).items()
    }


def diversity(adapter: Adapter, models: list[CadModel]) -> dict[str, float]:
    """Mean change of a pixel, 0 to 255, on the object and off it, when noise alone changes."""
    plan = plan_as_learnt(adapter.info)
    renders = RasterRenderer(models).render(make_plans(plan, models, 0, 0, _RENDERS))
    return noise_effect(renders, adapt_crops(renders, adapter, 0, plan.window), adapter, 0)


def compare(
    rgb: NDArray[np.uint8], real: RealCrops, real_test: RealCrops, features: dict[str, Features]
) -> dict[str, Any]:
    """All that is measured of a set's crops but for `diversity`.

    Args:
        rgb: (N, 64, 64, 3); `COMPARED` of them count.
        real: the target's crops.
        real_test: others of the same camera.
        features: by name.
    """
    few = np.random.default_rng(2).permutation(len(rgb))[:COMPARED]
    kid = {}
    for name, one in features.items():
        ours, theirs, others = (
            features_of(one, some) for some in (rgb[few], real.rgb, real_test.rgb)
        )
        kid[name] = kernel_distance(ours, others, theirs)
    return {
        "crops": len(few),
        "kid": kid,
        "told_apart_percent": told_apart(rgb[few], real.rgb, real_test.rgb),
        "copies": copies(rgb[few], real.rgb, real_test.rgb),
    }
