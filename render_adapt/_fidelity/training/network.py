"""The judge network: does this picture show what that label says, and if not, how far is it off?"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from render_adapt._fidelity.label_view import PLANES, SIDE

OUTPUTS = 7
"""Log-odds that the label is true; log-odds that it names the right object; shift of the picture
against the label in units of `SHIFT_UNIT`, across and down; turn in units of `TURN_UNIT`."""
SHIFT_UNIT = 8.0
"""Pixels."""
TURN_UNIT = 30.0
"""Degrees."""


class JudgeNetwork(nn.Module):
    """Convolutions over the crop and its label laid over each other, down to one vector.

    It is shown label and crop together, so that it learns to compare rather than to recognise:
    it judges objects that it never saw.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = _convolution(PLANES, width, 5, 2)
        self.stages = nn.Sequential(
            _convolution(width, 2 * width, 3, 2),
            _Residual(2 * width),
            _Residual(2 * width),
            _convolution(2 * width, 4 * width, 3, 2),
            _Residual(4 * width),
            _Residual(4 * width),
            _convolution(4 * width, 5 * width, 3, 2),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(5 * width * 16, 128),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(128, OUTPUTS),
        )

    def forward(self, planes: Tensor) -> Tensor:
        """(N, OUTPUTS) of (N, PLANES, 64, 64), the crop's colours first."""
        picture, label = planes[:, :3], planes[:, 3:]
        mean = picture.mean(dim=(1, 2, 3), keepdim=True)
        spread = (picture - mean).square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        picture = 0.5 * (picture - mean) / (spread + 0.1)
        return self.head(self.stages(self.stem(torch.cat([picture, label], dim=1))))  # type: ignore[no-any-return]


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, 3, 1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.second(self.first(x))))


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def export_judge(network: JudgeNetwork, path: Path) -> None:
    """Write the network as ONNX: `planes` (N, 8, 64, 64) in, `verdict` (N, 7) out, N free."""
    with warnings.catch_warnings():
        # The exporter through TorchScript needs no further package; torch announces its end.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network.eval(),
            (torch.zeros(2, PLANES, SIDE, SIDE),),
            str(path),
            input_names=["planes"],
            output_names=["verdict"],
            dynamic_axes={"planes": {0: "batch"}, "verdict": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
