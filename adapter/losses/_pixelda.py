"""PixelDA's losses, as pure functions of tensors."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

GanLoss = Literal["non-saturating", "minimax", "least-squares", "hinge"]


def discriminator_loss(real: Tensor, fake: Tensor, kind: GanLoss = "non-saturating") -> Tensor:
    """What the discriminator minimises (Eq. 2), from its logits for real and adapted crops.

    Args:
        real, fake: (N,) logits, positive meaning real.
        kind: "non-saturating" and "minimax" share the cross-entropy; "least-squares" aims at 1
            for real and 0 for fake; "hinge" at margins of +-1.
    """
    if kind == "least-squares":
        return ((real - 1.0) ** 2).mean() + (fake**2).mean()
    if kind == "hinge":
        return F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor, kind: GanLoss = "non-saturating") -> Tensor:
    """What the generator minimises, from the discriminator's logits (N,) for adapted crops.

    "minimax" is log(1 - D) as Eq. 2 has it; "non-saturating" is -log D as the official code has.
    """
    if kind == "least-squares":
        return ((fake - 1.0) ** 2).mean()
    if kind == "hinge":
        return -fake.mean()
    if kind == "minimax":
        return -F.softplus(fake).mean()
    return F.softplus(-fake).mean()


def pose_loss(
    predicted: Tensor,
    quaternion: Tensor,
    weight: Tensor | None = None,
    symmetries: Tensor | None = None,
) -> Tensor:
    """log(1e-4 + 1 - |<q, q'>|), averaged over the batch (Eq. 6, with the official code's 1e-4).

    Convention:
        q and -q are the same rotation and give the same loss. A perfect prediction gives
        log(1e-4) = -9.21: the loss is negative near the optimum. Of a symmetric object's equally
        right poses q' s the nearest counts.

    Args:
        predicted, quaternion: (N, 4) unit quaternions w, x, y, z, model to camera.
        weight: (N,) per-sample factor; 0 where an object's symmetry leaves the pose undefined.
        symmetries: (N, S, 4) unit quaternions of the rotations s, in the model's axes, that leave
            each sample's object as it looks, the identity among them; None for no symmetry.
    """
    dot = _nearest_dot(predicted, quaternion, symmetries)
    # Rounding can push |dot| a little over 1, more than the 1e-4 only if a quaternion is not unit.
    loss = torch.log(1e-4 + (1.0 - dot).clamp_min(0.0))
    return loss.mean() if weight is None else (loss * weight).mean()


def _nearest_dot(predicted: Tensor, quaternion: Tensor, symmetries: Tensor | None) -> Tensor:
    """(N,) |<q, q' s>| of the symmetry s that makes it greatest."""
    if symmetries is None:
        return (predicted * quaternion).sum(dim=1).abs()
    poses = quaternion_product(quaternion[:, None], symmetries)  # (N, S, 4)
    return (predicted[:, None] * poses).sum(dim=2).abs().amax(dim=1)


def quaternion_product(p: Tensor, q: Tensor) -> Tensor:
    """Hamilton product p q of quaternions w, x, y, z (..., 4): first the rotation q, then p."""
    pw, px, py, pz = p.unbind(-1)
    qw, qx, qy, qz = q.unbind(-1)
    return torch.stack(
        [
            pw * qw - px * qx - py * qy - pz * qz,
            pw * qx + px * qw + py * qz - pz * qy,
            pw * qy - px * qz + py * qw + pz * qx,
            pw * qz + px * qy - py * qx + pz * qw,
        ],
        dim=-1,
    )


def task_loss(
    class_logits: Tensor,
    predicted: Tensor | None,
    class_index: Tensor,
    quaternion: Tensor,
    *,
    class_weight: float = 1.0,
    pose_weight: float = 0.0,
    sample_weight: Tensor | None = None,
    symmetries: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of the class plus weighted pose loss (Eq. 3 and 6).

    Args:
        class_logits: (N, classes).
        predicted: (N, 4) quaternions, or None for a tower without a pose head.
        class_index: (N,) int64.
        quaternion: (N, 4).
        sample_weight: (N,) factor of each sample's pose loss.
        symmetries: (N, S, 4), as `pose_loss` takes them.
    """
    loss = class_weight * F.cross_entropy(class_logits.float(), class_index)
    if predicted is not None and pose_weight > 0:
        loss = loss + pose_weight * pose_loss(predicted, quaternion, sample_weight, symmetries)
    return loss


def masked_pmse(
    source: Tensor,
    adapted: Tensor,
    mask: Tensor,
    *,
    normaliser: Literal["all", "mask"] = "all",
    per_channel: bool = False,
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """Masked pairwise mean squared error between foregrounds (Eq. 4 and 5).

    With d the difference under the mask, (1/k) |d|^2 - (1/k^2) (sum d)^2: how much the differences
    vary over the object. What is outside the mask is free.

    Convention:
        With normaliser "mask", adding a constant to the whole object costs nothing (nor, with
        per_channel, a constant colour cast). With "all" a constant c on a fraction f of the image
        costs c^2 f (1 - f).

    Args:
        source, adapted: (N, C, H, W).
        mask: (N, H, W) bool, the object.
        normaliser: "all": k counts every value of the image (paper, official code);
            "mask": k counts the masked ones.
        per_channel: Eq. 5 for each channel alone, averaged over the channels.
        reduction: "mean" over the batch (paper), or "sum": as the official code computes it, twice
            Eq. 5 summed over the batch.
    """
    n, channels, height, width = source.shape
    weight = mask[:, None].to(source.dtype)  # (N, 1, H, W)
    difference = ((adapted - source) * weight).flatten(2)  # (N, C, H * W)
    if normaliser == "all":
        k = torch.full((n, 1), float(height * width), dtype=source.dtype, device=source.device)
    else:
        k = weight.flatten(1).sum(dim=1, keepdim=True).clamp_min(1.0)  # (N, 1)
    total, squares = difference.sum(dim=2), difference.square().sum(dim=2)  # (N, C)
    if not per_channel:
        total, squares = total.sum(dim=1, keepdim=True), squares.sum(dim=1, keepdim=True)
        k = k * channels
    per_crop = (squares / k - (total / k).square()).mean(dim=1)  # (N,)
    return 2.0 * per_crop.sum() if reduction == "sum" else per_crop.mean()


def masked_depth_error(source: Tensor, adapted: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of the depth channel (the last of four) on the object.

    Args:
        source, adapted: (N, 4, H, W).
        mask: (N, H, W) bool, the object.
    """
    weight = mask.to(source.dtype)
    squares = (adapted[:, 3] - source[:, 3]).square() * weight
    return squares.sum() / weight.sum().clamp_min(1.0)


def diversity_loss(first: Tensor, second: Tensor, z_first: Tensor, z_second: Tensor) -> Tensor:
    """Small when two noise vectors give one crop two looks (mode seeking, Mao et al. 2019, Eq. 2).

    The inverse of mean |G(x, z1) - G(x, z2)| / mean |z1 - z2|.

    Args:
        first, second: (N, C, H, W), the same crops adapted with z_first and z_second (N, Z).
    """
    ratio = (first - second).abs().mean() / (z_first - z_second).abs().mean()
    return 1.0 / (ratio + 1e-5)


def angle_degrees(
    predicted: Tensor, quaternion: Tensor, symmetries: Tensor | None = None
) -> Tensor:
    """(N,) rotation angles between unit quaternions (N, 4): 2 acos |<q, q'>|, in [0, 180].

    Computed in float64 and exact to about 1e-6 degrees; the official code took the angle from the
    loss with its 1e-4, which never falls below 1.62 degrees.

    Args:
        predicted, quaternion: (N, 4).
        symmetries: (N, S, 4), as `pose_loss` takes them: the nearest of the equally right poses.
    """
    predicted, quaternion = (F.normalize(q.double(), dim=-1) for q in (predicted, quaternion))
    poses = quaternion[:, None]  # (N, 1, 4)
    if symmetries is not None:
        poses = quaternion_product(poses, F.normalize(symmetries.double(), dim=-1))
    difference = quaternion_product(_conjugate(poses), predicted[:, None].expand_as(poses))
    # atan2 stays exact at small angles, where the arc cosine of a number near 1 does not.
    angles = 2.0 * torch.atan2(difference[..., 1:].norm(dim=-1), difference[..., 0].abs())
    return torch.rad2deg(angles.amin(dim=1))


def _conjugate(q: Tensor) -> Tensor:
    return torch.cat([q[..., :1], -q[..., 1:]], dim=-1)
