"""The judge's network in torch, for devices that ONNX Runtime has no door to."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from adapter import AdapterError, Precision, TorchNetwork
from checked_settings import MissingDependency
from render_adapt._fidelity.training.network import JudgeNetwork


def judge_in_torch(content: bytes, device: str, precision: Precision) -> TorchNetwork:
    """A judge's network, which takes planes (N, 8, 64, 64) and gives verdicts (N, 7).

    Args:
        content: the ONNX file that `export_judge` wrote, whose normalisations are part of the
            convolutions before them.
        device: torch's name of it.
        precision: what it computes in.

    Raises:
        MissingDependency: what reads ONNX files is not there.
        AdapterError: the file is of another network.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise MissingDependency(f"judging on {device}", "onnx", "'render-adapt[cuda]'") from error
    graph = onnx.load_model_from_string(content).graph
    values = {tensor.name: numpy_helper.to_array(tensor).copy() for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    try:
        network = _without_norms(JudgeNetwork(width=values[nodes[0].input[1]].shape[0]))
        layers = [
            name
            for name, layer in network.named_modules()
            if isinstance(layer, nn.Conv2d | nn.Linear)
        ]
        weights = {
            f"{name}.{part}": torch.from_numpy(values[node.input[place]])
            for name, node in zip(layers, nodes, strict=True)
            for place, part in ((1, "weight"), (2, "bias"))
        }
        network.load_state_dict(weights)
    except (IndexError, KeyError, ValueError, RuntimeError) as error:
        raise AdapterError(
            "this judge's network is not the one that torch knows: give `device` cpu"
        ) from error
    return TorchNetwork(network.eval(), device, precision)


def _without_norms(network: nn.Module) -> nn.Module:
    """The network with offsets in its convolutions, in place of the normalisations after them."""
    changes: list[tuple[nn.Module, str, Any]] = []
    for parent in network.modules():
        for name, layer in parent.named_children():
            if isinstance(layer, nn.BatchNorm2d):
                changes.append((parent, name, nn.Identity()))
            elif isinstance(layer, nn.Conv2d):
                layer.bias = nn.Parameter(torch.zeros(layer.out_channels))
    for parent, name, layer in changes:
        setattr(parent, name, layer)
    return network
