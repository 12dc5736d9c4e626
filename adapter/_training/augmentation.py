"""DiffAugment: what a discriminator sees is changed, real and adapted crops alike."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from adapter._training.device import to_device


def augment(x: Tensor, *, color: float = 0.0, shift: int = 0) -> Tensor:
    """Random changes, which gradients pass through (Zhao et al. 2020).

    Args:
        x: (N, C, H, W), colours first.
        color: how much contrast and brightness change at most; depth has neither.
        shift: pixels to each side, at most, below H.
    """
    if color > 0:
        x = _recoloured(x, color)
    return _shifted(x, shift) if shift > 0 else x


def turned_hues(colors: Tensor, degrees: Tensor) -> Tensor:
    """Colours turned about the grey axis; those that leave the range end at its border.

    Args:
        colors: (N, 3, H, W) in [-1, 1].
        degrees: (N,), 120 makes green of red.
    """
    angle = torch.deg2rad(degrees)[:, None, None]
    third = torch.full((3, 3), 1.0 / 3.0, device=colors.device)
    across = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=colors.device) / 3**0.5
    flat = torch.eye(3, device=colors.device) - third
    turn = third + angle.cos() * flat + angle.sin() * across
    return torch.einsum("nij,njhw->nihw", turn, colors).clamp(-1.0, 1.0)


def recoloured_alike(colors: Tensor, saturation: Tensor, brightness: Tensor) -> Tensor:
    """Colours (N, 3, H, W) in [-1, 1] whose distance from grey and whose brightness are multiplied
    by (N,) factors; those that leave the range end at its border."""
    light = (colors + 1.0) / 2.0
    grey = light.mean(dim=1, keepdim=True)
    light = (grey + saturation[:, None, None, None] * (light - grey)) * brightness[
        :, None, None, None
    ]
    return (2.0 * light - 1.0).clamp(-1.0, 1.0)


def towards_one_color(colors: Tensor, color: Tensor, share: Tensor) -> Tensor:
    """Crops (N, 3, H, W), each mixed with (N, 3) one colour by (N,) a share of it."""
    return torch.lerp(colors, color[:, :, None, None], share[:, None, None, None])


def _recoloured(x: Tensor, amount: float) -> Tensor:
    factors = 1.0 + amount * (2.0 * torch.rand(2, len(x), 1, 1, 1) - 1.0)
    contrast, brightness = to_device(factors, x.device.type)
    color = x[:, :3]
    mean = color.mean(dim=(1, 2, 3), keepdim=True)
    color = (color - mean) * contrast + mean + (brightness - 1.0)
    return torch.cat([color, x[:, 3:]], dim=1)


def _shifted(x: Tensor, reach: int) -> Tensor:
    n, _, height, width = x.shape
    top, left = torch.randint(0, 2 * reach + 1, (2, n, 1), device=x.device)
    padded = F.pad(x, (reach,) * 4, mode="reflect")
    rows = (top + torch.arange(height, device=x.device))[:, :, None]  # (N, H, 1)
    columns = (left + torch.arange(width, device=x.device))[:, None, :]  # (N, 1, W)
    crop = torch.arange(n, device=x.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[crop, rows, columns].permute(0, 3, 1, 2)
