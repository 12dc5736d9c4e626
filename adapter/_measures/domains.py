"""How far crops are from a camera's: by a kernel distance, and by whether they can be told apart.

Features are of a network that learnt nothing, drawn from a seed: the same for every adapter, and
nothing is fetched.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from adapter._errors import AdapterError

_WIDTHS = (3, 32, 64, 128, 128)
_AT_ONCE = 64
_SUBSETS, _IN_SUBSET = 20, 500
_FOLDS = 4
_RIDGE = 0.1
"""Of the number of crops: how strongly a classifier's weights are kept small."""
_FEWEST = 2


def domain_features(crops: NDArray[Any]) -> NDArray[np.float64]:
    """Means and standard deviations of four layers of convolutions that learnt nothing.

    Args:
        crops: (N, 3 or 4, H, W) in [-1, 1]; colours alone count.

    Returns:
        (N, 704).
    """
    parts = []
    with torch.inference_mode():
        for start in range(0, len(crops), _AT_ONCE):
            colors = np.ascontiguousarray(crops[start : start + _AT_ONCE, :3], dtype=np.float32)
            parts.append(_features(torch.from_numpy(colors)))
    return torch.cat(parts).double().numpy()


def _features(x: Tensor) -> Tensor:
    found = []
    for kernel in _kernels():
        x = functional.relu(functional.conv2d(x, kernel, stride=2, padding=2))
        found += [x.mean(dim=(2, 3)), x.std(dim=(2, 3))]
    return torch.cat(found, dim=1)


@cache
def _kernels() -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(after, before, 5, 5, generator=random) * (2 / (25 * before)) ** 0.5
        for before, after in itertools.pairwise(_WIDTHS)
    )


@dataclass(frozen=True)
class KernelDistance:
    """A kernel distance, over subsets of the crops."""

    mean: float
    std: float


def kernel_distance(
    first: NDArray[np.float64], second: NDArray[np.float64], scale: NDArray[np.float64]
) -> KernelDistance:
    """The kernel distance of Binkowski et al. ("Demystifying MMD GANs", ICLR 2018).

    The unbiased square of the maximum mean discrepancy with the kernel (x y / D + 1)^3, over 20
    subsets of 500 crops, of features less their means and over their common standard deviation:
    about 0 for two halves of one set.

    Args:
        first, second: (N, D) and (M, D).
        scale: (K, D), features whose means and common standard deviation these are.

    Raises:
        AdapterError: there are fewer than 2 crops of one of them.
    """
    middle = scale.mean(axis=0)
    # One for all: in what hardly changes among real crops others would be endlessly far.
    spread = np.sqrt(((scale - middle) ** 2).mean()) + 1e-12
    first, second = ((values - middle) / spread for values in (first, second))
    count, random = _alike_many(first, second, _IN_SUBSET), np.random.default_rng(0)
    found = []
    for _ in range(_SUBSETS):
        x = first[random.choice(len(first), count, replace=False)]
        y = second[random.choice(len(second), count, replace=False)]
        found.append(_discrepancy(x, y))
    return KernelDistance(float(np.mean(found)), float(np.std(found)))


def _discrepancy(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)

    n = len(x)
    own = [(k.sum() - np.trace(k)) / (n * (n - 1)) for k in (kernel(x, x), kernel(y, y))]
    return float(own[0] + own[1] - 2 * kernel(x, y).mean())


def told_apart(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """How well a linear classifier tells crops of two sets apart, that it has not learnt on.

    Ridge regression on features, cross-validated in four parts, as many crops of each set; ties
    count half.

    Args:
        first, second: (N, D) and (M, D).

    Returns:
        Percent right; some 50 for two halves of one set.

    Raises:
        AdapterError: there are fewer than 2 crops of one of them.
    """
    count = _alike_many(first, second, max(len(first), len(second)))
    folds = min(_FOLDS, count)
    x = np.concatenate([first[:count], second[:count]])
    y = np.repeat([-1.0, 1.0], count)
    fold = np.tile(np.random.default_rng(0).permutation(count) % folds, 2)
    said = np.empty(2 * count)
    for number in range(folds):
        learnt = fold != number
        said[~learnt] = _classified(x[learnt], y[learnt], x[~learnt])
    return 50.0 * float((1 + np.sign(said) * y).mean())


def _classified(
    x: NDArray[np.float64], y: NDArray[np.float64], others: NDArray[np.float64]
) -> NDArray[np.float64]:
    middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    x, others = (x - middle) / spread, (others - middle) / spread
    ridge = _RIDGE * len(x) * np.eye(x.shape[1])
    return np.asarray(others @ np.linalg.solve(x.T @ x + ridge, x.T @ y))


def _alike_many(first: NDArray[np.float64], second: NDArray[np.float64], most: int) -> int:
    fewest = min(len(first), len(second))
    if fewest < _FEWEST:
        raise AdapterError(f"there are {fewest} crops to compare: give {_FEWEST} of each or more")
    return min(most, fewest)
