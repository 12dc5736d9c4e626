"""A finished training run as an adapter on disk: description, weights, ONNX network."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adapter._cut import TargetCut
from adapter._errors import AdapterError
from adapter._files import make_folder, write_atomically
from adapter._networks.registry import architecture_of
from adapter._runtime.adapters import draw_noise, load_adapter
from adapter._runtime.description import (
    DESCRIPTION,
    ONNX,
    WEIGHTS,
    AdapterInfo,
    description_of,
    read_info,
)
from adapter._settings.pixelda import TrainConfig
from adapter._training.checkpoint import part, read_checkpoint

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
    architecture = architecture_of(config)
    generator = architecture.build(channels, size, config)
    weights = part(tensors, "exported")
    generator.load_state_dict(weights)
    contents = {
        WEIGHTS: save(weights),
        ONNX: architecture.export(generator.eval(), channels, size, config.noise_dimension),
    }
    info = AdapterInfo(
        channels=channels,
        size=size,
        noise_dimension=config.noise_dimension,
        window_mm=float(window_mm),
        sha256={name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
        preset=preset,
        config=json.loads(metadata["config"]),
        steps=int(metadata["step"]),
        class_names=tuple(json.loads(metadata["class_names"])),
        provenance=provenance,
        figures=dict(figures or {}),
        cut=cut,
        keeps_background=architecture.keeps_background,
    )
    # The description last: it vouches for the others.
    contents[DESCRIPTION] = description_of(info)
    with tempfile.TemporaryDirectory() as temporary:
        draft = Path(temporary)
        for name, data in contents.items():
            write_atomically(draft / name, data)
        _check_runtimes_agree(draft)
    make_folder(folder)
    for name, data in contents.items():
        write_atomically(folder / name, data)
    return read_info(folder)


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
