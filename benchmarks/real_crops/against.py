"""How like real crops a set's are, and whether they are copies.

Every classifier and every feature is made here, on this machine: no weights are fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from adapter import Adapter, domain_features, encode, kernel_distance, memorisation
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
_STREAM = 63
_RENDERS = 300


def random_features() -> Features:
    """`adapter.domain_features`, of tensors."""
    return lambda x: torch.from_numpy(domain_features(x.numpy()))


def features_of(features: Features, rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, D) of (N, 64, 64, 3)."""
    with torch.inference_mode():
        parts = [features(pictures(rgb[k : k + 128], "cpu")) for k in range(0, len(rgb), 128)]
        return torch.cat(parts).double().numpy()


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
        found = kernel_distance(ours, others, theirs)
        kid[name] = {"kid": round(1e3 * found.mean, 3), "std": round(1e3 * found.std, 3)}
    return {
        "crops": len(few),
        "kid": kid,
        "told_apart_percent": told_apart(rgb[few], real.rgb, real_test.rgb),
        "copies": copies(rgb[few], real.rgb, real_test.rgb),
    }
