"""What domain adaptation by features minimises: pure functions of features, and their inverse.

Features are (N, d), one row per crop, of the source or of the target domain. The losses are those
of Deep CORAL (Sun and Saenko 2016), of MMD, DANN and DSN as DSN's paper and code have them
(Bousmalis et al. 2016), and CORAL's closed form (Sun et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapter.losses._pixelda import masked_pmse

PAPER_BANDWIDTHS = (
    *(10.0**power for power in range(-6, 1)),
    *(5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0),
    *(10.0**power for power in range(2, 7)),
)
"""The 19 sigmas of DSN's MMD."""

MEDIAN_MULTIPLES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Bandwidths that suit any features, in multiples of their median squared distance."""


def covariance(features: Tensor) -> Tensor:
    """(d, d) unbiased covariance of features (N, d), N at least 2."""
    centred = features - features.mean(dim=0)
    return centred.T @ centred / (len(features) - 1)


def coral_loss(source_features: Tensor, target_features: Tensor) -> Tensor:
    """Deep CORAL, Eq. 1: squared Frobenius distance of the covariances over 4 d^2."""
    d = source_features.shape[1]
    difference = covariance(source_features) - covariance(target_features)
    return difference.square().sum() / (4 * d**2)


def coral_matrix(source_features: Tensor, target_features: Tensor) -> Tensor:
    """(d, d) float64 A of CORAL, Algorithm 1: (C_s + I)^(-1/2) (C_t + I)^(1/2).

    Convention:
        centred source features, as rows, times A have the target's covariance, as far as the
        identity lets them. The matrix of the way back, with the domains exchanged, is A's inverse.
    """
    d = source_features.shape[1]
    identity = torch.eye(d, dtype=torch.float64, device=source_features.device)
    whiten = _symmetric_power(covariance(source_features.double()) + identity, -0.5)
    return whiten @ _symmetric_power(covariance(target_features.double()) + identity, 0.5)


def coral_recolour(source_features: Tensor, target_features: Tensor) -> Tensor:
    """(N, d) float64: the source's features with the covariance and mean of the target's.

    CORAL's authors give each domain zero mean beforehand; here the source's mean is taken off and
    the target's put on, which is the same for a classifier with an offset.
    """
    source, target = source_features.double(), target_features.double()
    return (source - source.mean(dim=0)) @ coral_matrix(source, target) + target.mean(dim=0)


def _symmetric_power(matrix: Tensor, exponent: float) -> Tensor:
    """Power of a symmetric, positive definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    power: Tensor = (vectors * values.pow(exponent)) @ vectors.T
    return power


def mmd(
    x: Tensor, y: Tensor, bandwidths: Sequence[float] | Tensor, *, floor: float = 0.0
) -> Tensor:
    """Biased squared maximum mean discrepancy between x (N, d) and y (M, d).

    Convention:
        the kernel is the sum over the bandwidths s of exp(-|a - b|^2 / (2 s)): s itself, not s^2,
        as in DSN's code.

    Args:
        bandwidths: (K,) the s, above 0.
        floor: what is below counts as this and has no gradient (DSN's code: 1e-4).
    """
    s = torch.as_tensor(bandwidths, dtype=x.dtype, device=x.device)

    def mean_kernel(a: Tensor, b: Tensor) -> Tensor:
        distances = _squared_distances(a, b)
        return torch.exp(-distances[..., None] / (2 * s)).sum(dim=-1).mean()

    squared = mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)
    return squared.clamp_min(floor)


def median_bandwidths(
    x: Tensor, y: Tensor, multiples: Sequence[float] | Tensor = MEDIAN_MULTIPLES
) -> Tensor:
    """(K,) bandwidths for `mmd`: multiples of the median squared distance between all samples.

    Without gradient: the kernels follow the features, and do not lead them.
    """
    samples = torch.cat([x, y]).detach()
    pairs = torch.triu_indices(len(samples), len(samples), offset=1, device=x.device)
    median = _squared_distances(samples, samples)[pairs[0], pairs[1]].median()
    smallest = torch.finfo(x.dtype).tiny ** 0.5  # where all the samples are equal
    return median.clamp_min(smallest) * torch.as_tensor(multiples, dtype=x.dtype, device=x.device)


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """(N, M), exactly 0 between equal rows, which bandwidths of 1e-6 need."""
    return (a[:, None] - b[None]).square().sum(dim=-1)


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse_gradient(x: Tensor, strength: float = 1.0) -> Tensor:
    """x itself; its gradient is multiplied by -strength (Ganin and Lempitsky 2015)."""
    reversed_: Tensor = _ReverseGradient.apply(x, strength)  # type: ignore[no-untyped-call]
    return reversed_


class DomainClassifier(nn.Module):
    """Tells source features from target features, FC 100-ReLU-FC 1: one logit, positive for target.

    Args:
        feature_count: d.
    """

    def __init__(self, feature_count: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(feature_count, 100), nn.ReLU(), nn.Linear(100, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(N, d) to (N,) logits."""
        logits: Tensor = self.layers(features)
        return logits.squeeze(1)


def adversarial_loss(
    classifier: nn.Module, source_features: Tensor, target_features: Tensor, strength: float
) -> Tensor:
    """DANN: the domain classifier's cross-entropy, its gradient to the features reversed.

    The mean over both domains' crops. The classifier itself learns at full strength.
    """
    features = torch.cat([source_features, target_features])
    logits = classifier(reverse_gradient(features, strength)).float()
    of_target = torch.zeros_like(logits)
    of_target[len(source_features) :] = 1.0
    return F.binary_cross_entropy_with_logits(logits, of_target)


def difference_loss(private: Tensor, shared: Tensor) -> Tensor:
    """How much DSN's private and shared features (N, d) of the same crops tell the same (Eq. 5).

    The mean, over the d x d pairs of features, of the squared inner product over the batch; each
    feature is centred first and each crop's features are then scaled to length 1, as the released
    code does. (The paper has the sum, d^2 times as much.)
    """
    private, shared = (F.normalize(f - f.mean(dim=0), dim=1, eps=1e-6) for f in (private, shared))
    return (private.T @ shared).square().mean()


def reconstruction_loss(images: Tensor, reconstructed: Tensor) -> Tensor:
    """DSN's reconstruction error of images (N, C, H, W): scale-invariant squared error (Eq. 4).

    It is free of a shift of the whole image. Twice Eq. 4, and summed over the batch, as the
    released code computes it and as its weights are meant.
    """
    everywhere = torch.ones_like(images[:, 0], dtype=torch.bool)
    return masked_pmse(images, reconstructed, everywhere, reduction="sum")
