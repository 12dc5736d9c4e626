"""Generators as ONNX networks."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import torch
from torch import nn

from safe_files import read_file

_MOST_BYTES = 2**31
"""Of an ONNX file: protocol buffers hold no more."""


def export_onnx(generator: nn.Module, channels: int, size: int, noise_dimension: int) -> bytes:
    """A generator, in evaluation mode, as an ONNX network with a free batch size.

    Inputs `crops` (N, C, H, W) and `noise` (N, Z), output `adapted` (N, C, H, W). Batch
    normalisation is folded into the convolutions, and noise of which nothing is made is no input.

    Args:
        generator: takes crops and noise.
        channels, size: of the crops.
        noise_dimension: Z; 0 for noise without numbers.
    """
    example = torch.zeros(2, channels, size, size), torch.zeros(2, noise_dimension)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        network = Path(folder) / "network.onnx"
        # The exporter through TorchScript needs no further package; torch announces its end.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Of slices that it cannot fold, which changes nothing of what they give.
        warnings.filterwarnings("ignore", message="Constant folding", category=UserWarning)
        torch.onnx.export(
            generator,
            example,
            str(network),
            input_names=["crops", "noise"],
            output_names=["adapted"],
            dynamic_axes={name: {0: "batch"} for name in ("crops", "noise", "adapted")},
            opset_version=17,
            dynamo=False,
        )
        return read_file(network, most=_MOST_BYTES)
