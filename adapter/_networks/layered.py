"""A generator that paints objects and leaves what is behind: two layers, joined along the mask.

As Richter et al. ("Enhancing Photorealism Enhancement", 2021) it sees more of the scene than its
colours: depth, and the surface's direction, which it takes from depth.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapter._crop_tensor import FAR
from adapter._errors import AdapterError
from adapter._networks.architecture import AdapterArchitecture
from adapter._networks.export import export_onnx
from adapter._networks.normalisation import BatchNorm
from adapter._networks.pixelda import ResidualBlock
from adapter._settings.pixelda import TrainConfig

_STEEPEST = 0.25
"""Change of relative depth from pixel to pixel, from which on slopes count as equal."""
_SEEN_CHANNELS = 3 + 1 + 1 + 2
"""Colours, depth, mask, slopes."""


class LayeredGenerator(nn.Module):
    """Makes the objects of a crop look like the target's, in the light of what is behind them.

    Convention:
        Where depth is far (`FAR` and beyond) there is no object. Depth comes out as it went in; so
        do colours, but on objects and, mixed with them as a lens does, a pixel around.

    Args:
        size: crops are size x size pixels, a multiple of 8.
        noise_dimension: length of z.
        width: feature maps at half the crop's resolution; twice as many at a quarter and below.
        blocks: residual blocks at an eighth of the resolution.
    """

    def __init__(self, size: int, *, noise_dimension: int, width: int, blocks: int) -> None:
        super().__init__()
        self.size = size
        self.slopes, self.softened = Slopes(), Softened()
        self.noise = nn.Linear(noise_dimension, (size // 2) ** 2)
        self.enter = _convolution(4 * _SEEN_CHANNELS + 1, width)
        self.down = nn.ModuleList(
            [_convolution(width, 2 * width, stride=2), _convolution(2 * width, 2 * width, stride=2)]
        )
        self.deep = nn.Sequential(*[ResidualBlock(2 * width) for _ in range(blocks)])
        self.up = nn.ModuleList(
            [_convolution(4 * width, 2 * width), _convolution(3 * width, width)]
        )
        self.fine = nn.Conv2d(width, width, 3, padding=1)
        self.last = _convolution(width // 4 + _SEEN_CHANNELS, width // 2)
        self.paint = nn.Conv2d(width // 2, 3, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        # It begins as the render itself.
        nn.init.normal_(self.paint.weight, 0.0, 1e-3)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """(N, 4, H, W) in [-1, 1] and (N, noise_dimension) to (N, 4, H, W) in [-1, 1]."""
        colors, depth = x[:, :3], x[:, 3:4]
        mask = (depth < FAR).to(x.dtype)
        seen = torch.cat([colors, depth, mask, self.slopes(depth, mask)], dim=1)
        noise = self.noise(z).reshape(-1, 1, self.size // 2, self.size // 2).to(x.dtype)
        h = self.enter(torch.cat([F.pixel_unshuffle(seen, 2), noise], dim=1))
        skips = [h]
        for block in self.down:
            h = block(h)
            skips.append(h)
        h = self.deep(h)
        for block, skip in zip(self.up, (skips[1], skips[0]), strict=True):
            h = block(torch.cat([F.interpolate(h, scale_factor=2.0, mode="nearest"), skip], dim=1))
        h = F.relu(F.pixel_shuffle(self.fine(h), 2))
        h = self.paint(self.last(torch.cat([h, seen.to(h.dtype)], dim=1))).to(x.dtype)
        # A change of 0 gives the colours back, but for those near +-1.
        painted = torch.tanh(h + _inverse_tanh(0.97 * colors))
        return torch.cat([colors + self.softened(mask) * (painted - colors), depth], dim=1)


class Softened(nn.Module):
    """(N, 1, H, W) masks as a lens joins them with what is around: each pixel with its eight
    neighbours, by 1-2-1 both ways. The outline, where it is half, stays."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([0.25, 0.5, 0.25])
        kernel = (line[:, None] * line).reshape(1, 1, 3, 3)
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, mask: Tensor) -> Tensor:
        """(N, 1, H, W) of 0 and 1 to (N, 1, H, W), 0 to 1."""
        return F.conv2d(F.pad(mask, (1, 1, 1, 1), mode="replicate"), self.kernel)


class Slopes(nn.Module):
    """(N, 2, H, W), how (N, 1, H, W) depth changes across and down between the two neighbours of a
    pixel, -1 to 1; 0 where one of them, or the pixel itself, is off the mask."""

    neighbours: Tensor
    change: Tensor

    def __init__(self) -> None:
        super().__init__()
        across = torch.tensor([[0.0, 0, 0], [-1, 0, 1], [0, 0, 0]])
        change = torch.stack([across, across.T])[:, None]
        self.register_buffer("change", change, persistent=False)
        self.register_buffer("neighbours", change.abs(), persistent=False)

    def forward(self, depth: Tensor, mask: Tensor) -> Tensor:
        """(N, 1, H, W) of each to (N, 2, H, W)."""
        known = (F.conv2d(mask, self.neighbours, padding=1) > 1.5).to(depth.dtype)
        change = F.conv2d(depth, self.change, padding=1) / _STEEPEST
        return change.clamp(-1.0, 1.0) * known * mask


def _inverse_tanh(x: Tensor) -> Tensor:
    """As torch.atanh, of which ONNX networks know nothing in the version that is exported."""
    return 0.5 * (torch.log(1.0 + x) - torch.log(1.0 - x))


def _convolution(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), BatchNorm(outputs), nn.ReLU()
    )


def build_layered(channels: int, size: int, config: TrainConfig) -> LayeredGenerator:
    """The generator that a configuration describes, freshly initialised.

    Raises:
        AdapterError: it is to do without depth, by which objects are told from what is behind
            them, or without noise, or the crops cannot be halved three times.
    """
    if channels != 4:
        raise AdapterError("`architecture` layered needs depth: give it crops with 4 channels")
    if config.noise_dimension < 1 or size % 8:
        raise AdapterError(
            "`architecture` layered needs `noise_dimension` 1 or more, and crops whose side is a "
            "multiple of 8"
        )
    return LayeredGenerator(
        size, noise_dimension=config.noise_dimension, width=config.width, blocks=config.blocks
    )


LAYERED = AdapterArchitecture("layered", build_layered, export_onnx, keeps_background=True)
"""Paints objects before backgrounds that are there already."""
