"""What CoGAN minimises beside the losses of PixelDA."""

from __future__ import annotations

from torch import Tensor


def feature_distance(source: Tensor, target: Tensor) -> Tensor:
    """Squared distance between the features (N, D) of the two crops of a pair, averaged over N."""
    return (source - target).square().sum(dim=1).mean()
