"""A discriminator of patches at two scales."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """Tells real objects from adapted ones, patch by patch, at full and at half resolution.

    Many small judgements instead of one of the whole crop need far fewer real crops (Isola et al.,
    CVPR 2017); two scales as in Wang et al. (CVPR 2018), spectral normalisation as in Miyato et
    al. (ICLR 2018).

    Args:
        channels: of what it sees.
        width: feature maps of the first layer.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(_judge(channels, width) for _ in range(2))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, channels, H, W) to (N, 1, h, w) logits of each scale, positive for real."""
        logits = []
        for scale in self.scales:
            logits.append(scale(x))
            x = F.avg_pool2d(x, 2)
        return logits


def _judge(channels: int, width: int) -> nn.Sequential:
    widths = (channels, width, 2 * width, 4 * width)
    layers: list[nn.Module] = []
    for entering, leaving in itertools.pairwise(widths):
        layers += [spectral_norm(nn.Conv2d(entering, leaving, 4, 2, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(widths[-1], 1, 3, 1, 1)))


def inner(mask: Tensor, pixels: int = 2) -> Tensor:
    """(N, 1, H, W) masks without so many pixels along their outlines."""
    side = 2 * pixels + 1
    return 1.0 - F.max_pool2d(1.0 - mask, side, stride=1, padding=pixels)


def seen_object(colors: Tensor, mask: Tensor) -> Tensor:
    """(N, 4, H, W): colours (N, 3, H, W) where the mask (N, 1, H, W) is, and the mask."""
    return torch.cat([colors * mask, mask], dim=1)
