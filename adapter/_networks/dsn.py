"""Domain separation networks (Bousmalis et al. 2016), around the task tower.

What the domains share is the tower's first fully connected layer; what each has of its own comes
from a private encoder; a decoder makes the crop again from the sum of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapter._networks.normalisation import BatchNorm


class PrivateEncoder(nn.Module):
    """What only one domain's crops have: conv 5x5x32, pool, conv 5x5x64, pool, FC.

    Batch normalisation and ReLU after each, the normalisation after the pooling, where it is
    cheaper.

    Args:
        channels, size: of the crops.
        feature_count: length of the code, the shared code's.
    """

    def __init__(self, channels: int, size: int, feature_count: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 32, 5, padding=2, bias=False)
        self.norm1 = BatchNorm(32)
        self.conv2 = nn.Conv2d(32, 64, 5, padding=2, bias=False)
        self.norm2 = BatchNorm(64)
        self.linear = nn.Linear(64 * (size // 4) ** 2, feature_count, bias=False)
        self.norm3 = BatchNorm(feature_count)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, feature_count)."""
        h = x.contiguous(memory_format=torch.channels_last)
        h = F.relu(self.norm1(F.max_pool2d(self.conv1(h), 2)))
        h = F.relu(self.norm2(F.max_pool2d(self.conv2(h), 2)))
        return F.relu(self.norm3(self.linear(h.flatten(1))))


class Decoder(nn.Module):
    """The code back to a crop: the released code's "small" decoder.

    FC to a grid of three maps, two conv 3x3x16, nearest-neighbour upsampling to the crop's size,
    conv 3x3x16, with batch normalisation and ReLU after each, and a linear conv 3x3xC. (The
    released code normalises the last one as well, which fixes the contrast of every crop.)

    Args:
        channels, size: of the crops. The grid is 10x10 at 32 pixels, as in the released code, and
            in proportion at other sizes.
        feature_count: length of the code.
    """

    def __init__(self, channels: int, size: int, feature_count: int) -> None:
        super().__init__()
        self.size, self.grid = size, 10 * size // 32
        self.linear = nn.Linear(feature_count, 3 * self.grid**2, bias=False)
        self.norm_linear = BatchNorm(3 * self.grid**2)
        self.convs = nn.ModuleList(
            nn.Conv2d(entering, 16, 3, padding=1, bias=False) for entering in (3, 16, 16)
        )
        self.norms = nn.ModuleList(BatchNorm(16) for _ in self.convs)
        self.last = nn.Conv2d(16, channels, 3, padding=1)

    def forward(self, codes: Tensor) -> Tensor:
        """(N, feature_count) to (N, C, H, W)."""
        h = F.relu(self.norm_linear(self.linear(codes)))
        h = h.reshape(-1, 3, self.grid, self.grid).contiguous(memory_format=torch.channels_last)
        for layer, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            if layer == 2:
                h = F.interpolate(h, size=(self.size, self.size), mode="nearest")
            h = F.relu(norm(conv(h)))
        crops: Tensor = self.last(h)
        return crops


@dataclass(frozen=True)
class Separation:
    """What DSN makes of one domain's crops."""

    private: Tensor
    """(N, feature_count), what only this domain has."""
    reconstructed: Tensor
    """(N, C, H, W), from shared and private code together."""


class DomainSeparation(nn.Module):
    """DSN's networks beside the task tower: two private encoders, one decoder.

    Args:
        channels, size: of the crops.
        feature_count: length of the codes, the tower's.
    """

    def __init__(self, channels: int, size: int, feature_count: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(
            PrivateEncoder(channels, size, feature_count) for _ in range(2)
        )
        self.decoder = Decoder(channels, size, feature_count)

    def forward(self, x: Tensor, shared: Tensor, domain: int) -> Separation:
        """Separate crops (N, C, H, W) with shared codes (N, feature_count).

        Convention:
            domain 0 is the source, domain 1 the target.
        """
        private = self.encoders[domain](x)
        return Separation(private, self.decoder(shared + private))
