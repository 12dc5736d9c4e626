"""An adapter of your own, in two ways.

As a network that was made elsewhere, which needs nothing but an ONNX file:

    python grain_adapter.py plain_grain
    render-adapt --objects ape,cat --n 1000 --adapter plain_grain

As an architecture, which `render-adapt train` trains as it does its own:

    pip install examples/plug_ins/an_adapter
    render-adapt train --objects ape,cat --target camera_crops/ --architecture grain --out my_grain

The entry point in `pyproject.toml` is all that makes the architecture known.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapter import FAR, AdapterArchitecture, TrainConfig, export_onnx, save_onnx_adapter

CELLS = 8
"""Cells of grain along a side of the crop."""


class Grain(nn.Module):
    """Contrast and brightness of each colour, and grain that the noise draws, coarse to fine.

    Depth stays as it is: it is the label's own. On the background, which renders leave black, the
    grain is stronger.

    Args:
        channels: 3 (RGB) or 4 (RGB and depth).
        size: crops are size x size pixels.
        noise_dimension: length of the noise vector.
    """

    def __init__(self, channels: int, size: int, noise_dimension: int) -> None:
        super().__init__()
        self.depth = channels == 4
        self.size = size
        self.contrast = nn.Parameter(torch.full((1, 3, 1, 1), 0.9))
        self.brightness = nn.Parameter(torch.full((1, 3, 1, 1), 0.05))
        self.strength = nn.Parameter(torch.tensor([0.02, 0.5]))  # on the object, and off it
        self.cells = nn.Linear(noise_dimension, 3 * CELLS * CELLS, bias=False)
        nn.init.normal_(self.cells.weight, 0.0, noise_dimension**-0.5)

    def forward(self, crops: Tensor, noise: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] and (N, noise_dimension) to (N, C, H, W) in [-1, 1]."""
        color = crops[:, :3]
        cells = self.cells(noise).reshape(-1, 3, CELLS, CELLS)
        grain = F.interpolate(cells, size=(self.size, self.size), mode="bilinear")
        far = crops[:, 3:] >= FAR if self.depth else color.mean(dim=1, keepdim=True) <= -FAR
        strength = torch.where(far, self.strength[1], self.strength[0])
        adapted = torch.tanh(self.contrast * color + self.brightness + strength * grain)
        return torch.cat([adapted, crops[:, 3:]], dim=1)


def build(channels: int, size: int, config: TrainConfig) -> Grain:
    """The generator that the settings describe."""
    return Grain(channels, size, config.noise_dimension)


ARCHITECTURE = AdapterArchitecture("grain", build, export_onnx)


def main(folder: Path) -> None:
    """Make an adapter of a network that nobody trained, of its ONNX file alone."""
    torch.manual_seed(0)
    channels, size, noise_dimension = 4, 64, 10
    grain = Grain(channels, size, noise_dimension).eval()
    save_onnx_adapter(
        export_onnx(grain, channels, size, noise_dimension),
        folder,
        channels=channels,
        size=size,
        noise_dimension=noise_dimension,
        window_mm=200.0,
        provenance="no data: contrast, brightness and grain by hand",
    )
    print(f"use it with --adapter {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
