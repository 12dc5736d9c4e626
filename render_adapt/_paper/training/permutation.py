"""Classes exchanged for one another: a failure that the paper describes, told apart from errors.

Trained on adapted crops alone, a task network depends on the generator to keep what a crop shows.
A generator that turns 3s into 5s and 5s into 3s pleases the discriminator as well as one that
keeps them. The target's classes are then told apart, but by the wrong names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MARGIN_PERCENT = 5.0
"""What other names must gain for classes to count as permuted; chance alone gains a little."""


@dataclass(frozen=True)
class Permutation:
    """How far a confusion matrix gains from other names for the predicted classes."""

    accuracy_percent: float
    """With the names as they are."""
    relabelled_accuracy_percent: float
    """With the names that make it greatest, each used once."""
    relabelling: tuple[int, ...]
    """For each predicted class the class that it stands for in these names."""
    permuted: bool
    """Whether the names gain at least the margin."""


def find_permutation(
    confusion: NDArray[Any], margin_percent: float = MARGIN_PERCENT
) -> Permutation:
    """The best one-to-one relabelling of predicted classes (the assignment problem).

    Convention:
        Where no names are better than those as they are, these are the relabelling.

    Args:
        confusion: (K, K) counts of crops, class in rows and predicted class in columns.
        margin_percent: least gain in accuracy, in percentage points and above 0, for classes to
            count as permuted.

    Raises:
        ValueError: not a confusion matrix with at least one crop, or a margin that is not above 0.
    """
    from scipy.optimize import linear_sum_assignment

    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError(f"the confusion matrix has shape {confusion.shape}; it must be square")
    if (confusion < 0).any() or confusion.sum() == 0:
        raise ValueError("the confusion matrix must hold counts, of one crop at least")
    if not margin_percent > 0:
        raise ValueError(f"the margin must be above 0; it is {margin_percent}")
    count = int(confusion.sum())
    plain = int(np.trace(confusion))
    predicted, stands_for = linear_sum_assignment(confusion.T, maximize=True)
    best = int(confusion[stands_for, predicted].sum())
    if best == plain:
        stands_for = np.arange(len(confusion))
    return Permutation(
        accuracy_percent=100.0 * plain / count,
        relabelled_accuracy_percent=100.0 * best / count,
        relabelling=tuple(stands_for.tolist()),
        permuted=100.0 * (best - plain) / count >= margin_percent,
    )
