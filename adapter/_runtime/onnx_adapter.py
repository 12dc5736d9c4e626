"""Adapters made of an ONNX network alone, by anybody, with any tool."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter._cut import TargetCut
from adapter._errors import AdapterError
from adapter._files import make_folder, write_atomically
from adapter._runtime.adapters import CHUNK, OnnxAdapter, draw_noise
from adapter._runtime.description import (
    DESCRIPTION,
    ONNX,
    WEIGHTS,
    AdapterInfo,
    description_of,
    info_of,
)
from adapter._runtime.onnx import MOST_BYTES
from safe_files import read_file

_ALIKE = 1e-4
"""Largest difference that a crop's place among others may make, in values from [-1, 1]: rounding
that depends on the place."""


def save_onnx_adapter(
    network: bytes | Path,
    folder: Path,
    *,
    channels: int,
    size: int,
    noise_dimension: int,
    window_mm: float,
    class_names: Sequence[str] = (),
    provenance: str = "",
    figures: Mapping[str, Any] | None = None,
    cut: TargetCut | None = None,
    keeps_background: bool = False,
) -> AdapterInfo:
    """Make an adapter of a network of your own, which `load_adapter` and the command line take.

    The network is run before anything is written. The description is written last and holds the
    network's hash, so that a folder is never taken for an adapter before it is complete.

    Convention:
        Inputs are float32: `crops` (N, channels, size, size) in [-1, 1], as `encode` makes them,
        and, unless there is no noise, `noise` (N, noise_dimension) in [-1, 1). The one output is
        crops of the same shape and range. N is free, or 16.

    Args:
        network: an ONNX file, or its content.
        folder: where the adapter goes; made if absent, an older adapter in it is replaced.
        channels: 3 (RGB) or 4 (RGB and depth).
        size: crops are size x size pixels.
        noise_dimension: length of the noise vector; 0 for a network that takes none.
        window_mm: side of the window that its crops show, millimetres, which also scales depth.
        class_names: the objects that it was trained for, where that is known.
        provenance: the data that it was trained on, for people.
        figures: measurements to keep with the adapter.
        cut: how the real crops were cut that it was trained on, where that is known.
        keeps_background: whether it takes objects before a background and leaves that alone; see
            `AdapterInfo`.

    Raises:
        AdapterError: the network cannot be read or run, takes or gives something else than such
            crops, gives others the second time, or lets one depend on those beside it; or the
            folder cannot be written.
    """
    content = network if isinstance(network, bytes) else _read(network)
    info = AdapterInfo(
        channels=channels,
        size=size,
        noise_dimension=noise_dimension,
        window_mm=float(window_mm),
        sha256={ONNX: hashlib.sha256(content).hexdigest()},
        class_names=tuple(class_names),
        provenance=provenance,
        figures=dict(figures or {}),
        cut=cut,
        keeps_background=keeps_background,
    )
    description = description_of(info)
    info_of(json.loads(description), folder / DESCRIPTION)
    _try_out(OnnxAdapter(folder, info, content, threads=1), folder / ONNX)
    make_folder(folder)
    write_atomically(folder / ONNX, content)
    write_atomically(folder / DESCRIPTION, description)
    (folder / WEIGHTS).unlink(missing_ok=True)  # an older adapter's
    return info


def _read(file: Path) -> bytes:
    try:
        return read_file(file, most=MOST_BYTES)
    except OSError as error:
        raise AdapterError(f"{file} cannot be read ({error.strerror}): check its path") from None


def _try_out(adapter: OnnxAdapter, file: Path) -> None:
    """Run a network as a dataset would.

    Raises:
        AdapterError: what it gives is no use to one.
    """
    info = adapter.info
    random = np.random.default_rng(0)
    shape = (CHUNK + 3, info.channels, info.size, info.size)
    crops = random.uniform(-1.0, 1.0, shape).astype(np.float32)
    crops[::2] = np.round(crops[::2])  # plain areas, as rendered crops have them
    noise = draw_noise(0, np.arange(len(crops)), info.noise_dimension)
    adapted = adapter.adapt(crops, noise)
    if not np.array_equal(adapted, adapter.adapt(crops, noise)):
        raise AdapterError(
            f"{file} gives other crops the second time, so that no dataset could be made again: "
            "take what is random in it from its input `noise`"
        )
    turned = adapter.adapt(crops[::-1], noise[::-1])[::-1]
    if np.abs(turned - adapted).max() > _ALIKE:
        raise AdapterError(
            f"{file} lets a crop depend on those beside it: export it in evaluation mode, and "
            "without normalisation over the batch"
        )
