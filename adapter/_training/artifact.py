"""A finished training run as an adapter on disk: description, weights, ONNX network."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adapter._cut import TargetCut
from adapter._errors import AdapterError
from adapter._files import make_folder, write_atomically
from adapter._networks.pixelda import Generator, build_generator
from adapter._runtime.adapters import (
    DESCRIPTION,
    FORMAT,
    ONNX,
    WEIGHTS,
    AdapterInfo,
    draw_noise,
    load_adapter,
    read_info,
)
from adapter._runtime.onnx import MOST_BYTES
from adapter._settings.pixelda import TrainConfig
from adapter._training.checkpoint import read_checkpoint
from safe_files import read_file

TOLERANCE = 1e-4
"""Largest difference allowed between the two runtimes, in values from [-1, 1]."""


def save_adapter(
    checkpoint: Path,
    folder: Path,
    *,
    preset: str,
    provenance: str,
    figures: Mapping[str, Any] | None = None,
    window_mm: float = 200.0,
    cut: TargetCut | None = None,
) -> AdapterInfo:
    """Turn a training checkpoint into an adapter that `load_adapter` reads.

    The description is written last and holds the other files' hashes, so that a folder is never
    taken for an adapter before it is complete.

    Args:
        checkpoint: what `train` returned.
        folder: where the adapter goes; made if absent, an older adapter in it is replaced.
        preset: name of the settings that the training started from.
        provenance: the data that the adapter was trained on, for people.
        figures: measurements to keep with the adapter.
        window_mm: side of the window that the training crops show.
        cut: how the target's crops were cut, and the source rendered, where that is known.

    Raises:
        AdapterError: an unreadable checkpoint, a folder that cannot be written, or ONNX Runtime
            and torch disagreeing by more than 1e-4.
    """
    from safetensors.torch import save

    tensors, metadata = read_checkpoint(checkpoint)
    config = TrainConfig(**json.loads(metadata["config"]))
    channels, size = int(metadata["channels"]), int(metadata["size"])
    generator = build_generator(channels, size, config)
    prefix = "exported."
    weights = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
    generator.load_state_dict(weights)
    contents = {
        WEIGHTS: save(weights),
        ONNX: export_onnx(generator.eval(), channels, size, config.noise_dimension),
    }
    with tempfile.TemporaryDirectory() as temporary:
        draft = Path(temporary)
        description = {
            "format": FORMAT,
            "channels": channels,
            "size": size,
            "noise_dimension": config.noise_dimension,
            "window_mm": float(window_mm),
            "preset": preset,
            "steps": int(metadata["step"]),
            "class_names": json.loads(metadata["class_names"]),
            "provenance": provenance,
            "figures": dict(figures or {}),
            "target_cut": None if cut is None else dataclasses.asdict(cut),
            "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
            "config": json.loads(metadata["config"]),
        }
        text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
        # The description last: it vouches for the others.
        contents[DESCRIPTION] = text.encode()
        for name, data in contents.items():
            write_atomically(draft / name, data)
        _check_runtimes_agree(draft)
        make_folder(folder)
        for name, data in contents.items():
            write_atomically(folder / name, data)
    return read_info(folder)


def export_onnx(generator: Generator, channels: int, size: int, noise_dimension: int) -> bytes:
    """The generator, in evaluation mode, as an ONNX network with a free batch size.

    Inputs `crops` (N, C, H, W) and `noise` (N, Z), output `adapted` (N, C, H, W). Batch
    normalisation is folded into the convolutions.
    """
    example = torch.zeros(2, channels, size, size), torch.zeros(2, noise_dimension)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        network = Path(folder) / ONNX
        # The exporter through TorchScript needs no further package; torch announces its end.
        warnings.simplefilter("ignore", DeprecationWarning)
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
        return read_file(network, most=MOST_BYTES)


def _check_runtimes_agree(folder: Path) -> None:
    info = read_info(folder)
    random = np.random.default_rng(0)
    shape = (24, info.channels, info.size, info.size)
    crops = random.uniform(-1.0, 1.0, shape).astype(np.float32)
    crops[12:] = np.round(crops[12:])  # plain areas, as rendered crops have them
    noise = draw_noise(0, np.arange(len(crops)), info.noise_dimension)
    by_onnx = load_adapter(folder, "onnx").adapt(crops, noise)
    by_torch = load_adapter(folder, "torch").adapt(crops, noise)
    difference = float(np.abs(by_onnx - by_torch).max())
    if not difference <= TOLERANCE:
        raise AdapterError(
            f"ONNX Runtime and torch disagree by {difference:.1e} about this generator, more than "
            f"{TOLERANCE:.0e}; no adapter was written"
        )
