"""What speaks for a pose: where the object seems to be, the picture's edges, its depth, and what
other crops show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from render_adapt._align.appearance import Appearance
from renderer import CropBatch

EDGES_WEIGHT, DEPTH_WEIGHT, APPEARANCE_WEIGHT = 0.6, 0.5, 3.0
"""Against 1 for the silhouette."""
_CREASES = 0.7
"""How strong the edge between two faces is at most, against an outline's."""
_FINE, _AROUND = 1 / 40, 1 / 8
"""Of a crop's side: how far edges are blurred, and what is taken for their surroundings."""
_LEAST_STEEPNESS = 5.0
"""Of 255 from pixel to pixel: changes as weak as this are no edges, however plain the rest is."""
_DEPTH_REACH = 20.0
"""Millimetres, beyond which depth speaks no more against a pose than there."""
_FEWEST_MEASURED = 20
"""Pixels with depth on the object, from which on it counts."""


@dataclass(frozen=True)
class Evidence:
    """Of N crops of S x S pixels."""

    mask: NDArray[np.float32]
    """(N, S, S), the probability that the object is seen."""
    edges: NDArray[np.float32]
    """(N, S, S), of `picture_edges`."""
    depth: NDArray[np.float32] | None
    """(N, S, S), millimetres behind the crop's centre, NaN where nothing was measured; None where
    the crops have none."""
    others: Others | None = None
    """What other crops show, where that is known; then all crops show one object."""

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Evidence:
        """That of some crops."""
        depth = None if self.depth is None else self.depth[rows]
        others = None if self.others is None else self.others[rows]
        return Evidence(self.mask[rows], self.edges[rows], depth, others)


def joined_evidence(parts: Sequence[Evidence]) -> Evidence:
    """One after the other, of crops of which all have depth or none."""
    depth = [one.depth for one in parts if one.depth is not None]
    return Evidence(
        np.concatenate([one.mask for one in parts]), np.concatenate([one.edges for one in parts]),
        np.concatenate(depth) if depth else None,
    )  # fmt: skip


@dataclass(frozen=True)
class Others:
    """What other crops of the same object show, and what there is to compare with it."""

    appearance: Appearance
    contrasts: Tensor
    """(N, 3, S, S), of the crops themselves."""

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Others:
        return Others(self.appearance, self.contrasts[rows])

    def agreement(self, drawn: CropBatch) -> NDArray[np.float64]:
        """(N x K,), as `Appearance.explained`, of K poses for each crop in turn."""
        times = len(drawn) // len(self.contrasts)
        return self.appearance.explained(drawn, self.contrasts.repeat_interleave(times, dim=0))


@dataclass(frozen=True)
class Agreement:
    """How well N poses agree with what is seen, part by part."""

    silhouette: NDArray[np.float64]
    """(N,), share of the joint area of drawn and seen silhouette that they have in common."""
    edges: NDArray[np.float64]
    """(N,), correlation of drawn and seen edges, -1 to 1."""
    depth: NDArray[np.float64]
    """(N,), 1 where drawn and measured depth are alike but for one distance, 0 where they are 20 mm
    off or nothing was measured."""
    appearance: NDArray[np.float64]
    """(N,), the share of the crop that is as other crops show it; 0 where these are not asked."""

    @property
    def total(self) -> NDArray[np.float64]:
        """(N,), all together; the more, the better."""
        parts = EDGES_WEIGHT * self.edges + DEPTH_WEIGHT * self.depth
        return self.silhouette + parts + APPEARANCE_WEIGHT * self.appearance


def picture_edges(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, S, S), how much colours change against how much they do around; mean 0, length 1.

    They are blurred as drawn edges would have to be, so that those need not.
    """
    size = rgb.shape[1]
    edges = np.empty(rgb.shape[:3], np.float32)
    for row, picture in enumerate(rgb):
        smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), size / 64)
        across, down = (cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0))
        strength = np.sqrt(across**2 + down**2).max(axis=-1)
        around = cv2.GaussianBlur(strength, (0, 0), _AROUND * size)
        edges[row] = cv2.GaussianBlur(strength / (around + _LEAST_STEEPNESS), (0, 0), _FINE * size)
    edges -= edges.mean(axis=(1, 2), keepdims=True)
    length = np.sqrt((edges**2).sum(axis=(1, 2), keepdims=True))
    return np.asarray(edges / np.maximum(length, np.float32(1e-6)), np.float32)


def drawn_edges(drawn: CropBatch) -> NDArray[np.float32]:
    """(N, S, S), 1 on both sides of an outline, less where the surface bends.

    Args:
        drawn: with surface maps.
    """
    assert drawn.normals is not None
    mask, normals = drawn.mask_visib, drawn.normals
    edges = np.zeros(mask.shape, np.float32)
    for axis in (1, 2):
        first = (slice(None),) * axis + (slice(None, -1),)
        second = (slice(None),) * axis + (slice(1, None),)
        outline = mask[first] ^ mask[second]
        cosine = np.einsum("nijk,nijk->nij", normals[first], normals[second])
        # The length of the difference of two unit vectors, of 2.
        bend = np.sqrt(np.clip(0.5 - 0.5 * cosine, 0, 1)) * (mask[first] & mask[second])
        step = np.maximum(outline, _CREASES * bend).astype(np.float32)
        np.maximum(edges[first], step, out=edges[first])
        np.maximum(edges[second], step, out=edges[second])
    return edges


def agreement(evidence: Evidence, drawn: CropBatch, centre_depth: NDArray[np.float64]) -> Agreement:
    """How well drawn poses agree with what is seen: the same number of poses for each crop.

    Args:
        evidence: of N crops.
        drawn: N x K poses, with surface maps, those of a crop one after the other.
        centre_depth: (N x K,), millimetres, what drawn depth is compared from.
    """
    crops = len(evidence.mask)
    shape = (crops, len(drawn) // crops, -1)
    mask = drawn.mask_visib.reshape(shape)
    whole = mask.astype(np.float32)
    common = np.einsum("nkp,np->nk", whole, evidence.mask.reshape(crops, -1))
    joint = whole.sum(axis=2) + evidence.mask.sum(axis=(1, 2))[:, None] - common
    edges = drawn_edges(drawn).reshape(shape)
    spread = np.sqrt(edges.shape[2]) * edges.std(axis=2)
    correlation = np.einsum("nkp,np->nk", edges, evidence.edges.reshape(crops, -1))
    depth = np.zeros(mask.shape[:2])
    if evidence.depth is not None:
        relative = drawn.object_depth - centre_depth.astype(np.float32)[:, None, None]
        depth = _depth_agreement(evidence.depth, relative.reshape(shape), mask)
    others = evidence.others
    appearance = np.zeros(len(drawn)) if others is None else others.agreement(drawn)
    return Agreement(
        silhouette=(common / np.maximum(joint, 1e-6)).ravel().astype(np.float64),
        edges=(correlation / np.maximum(spread, 1e-6)).ravel().astype(np.float64),
        depth=depth.ravel(),
        appearance=appearance,
    )


def depth_offset(
    measured: NDArray[np.float32], drawn: NDArray[np.float32], mask: NDArray[np.bool_]
) -> float | None:
    """How much farther than drawn most of an object was measured, in millimetres; None where too
    little of it was. All (S, S)."""
    off = (measured - drawn)[mask]
    off = off[np.isfinite(off)]
    return float(np.median(off)) if len(off) >= _FEWEST_MEASURED else None


def _depth_agreement(
    measured: NDArray[np.float32], drawn: NDArray[np.float32], mask: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(N, K) of (N, S, S) and twice (N, K, P)."""
    result = np.zeros(mask.shape[:2])
    flat = measured.reshape(len(measured), -1)
    for row, column in np.ndindex(*result.shape):
        seen = mask[row, column]
        offset = depth_offset(flat[row], drawn[row, column], seen)
        if offset is not None:
            off = np.abs((flat[row] - drawn[row, column])[seen] - offset) / _DEPTH_REACH
            result[row, column] = np.nanmean(np.clip(1 - off, 0, 1))
    return result
