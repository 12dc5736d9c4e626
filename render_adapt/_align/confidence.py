"""How sure a pose is: the probability that it is right, by what is known of poses that are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RIDGE = 1e-2
"""What keeps weights finite where right and wrong are told apart without fault."""
_ITERATIONS = 50


@dataclass(frozen=True)
class Confidence:
    """A logistic regression on features of poses."""

    mean: NDArray[np.float64]
    """(F,), of the features."""
    scale: NDArray[np.float64]
    """(F,), their standard deviations, 1 where they do not differ."""
    weights: NDArray[np.float64]
    """(1 + F,), of 1 and the features less their mean over their scale."""

    def of(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,), probabilities, of (N, F) features."""
        return _sigmoid(_rows(features, self.mean, self.scale) @ self.weights)


def fit_confidence(
    features: NDArray[np.float64], right: NDArray[np.bool_], weight: NDArray[np.float64]
) -> Confidence:
    """Fit it by Newton's method.

    Args:
        features: (N, F), of poses.
        right: (N,), whether they are.
        weight: (N,), how much each counts.
    """
    mean = features.mean(axis=0)
    spread = features.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    rows, weights = _rows(features, mean, scale), np.zeros(1 + features.shape[1])
    ridge = _RIDGE * len(rows) * np.diag(np.r_[0.0, np.ones(features.shape[1])])
    ridge[0, 0] = 1e-6
    for _ in range(_ITERATIONS):
        chance = _sigmoid(rows @ weights)
        gradient = rows.T @ (weight * (chance - right)) + ridge @ weights
        curvature = (rows * (weight * chance * (1 - chance))[:, None]).T @ rows + ridge
        step = np.linalg.solve(curvature, gradient)
        # Newton's steps may overshoot where all is told apart.
        weights = weights - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    return Confidence(mean, scale, weights)


def _rows(
    features: NDArray[np.float64], mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.concatenate([np.ones((len(features), 1)), (features - mean) / scale], axis=1)


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)))
