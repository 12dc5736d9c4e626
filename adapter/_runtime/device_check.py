"""Whether adapters can be run on a device, by running one."""

from __future__ import annotations

import numpy as np

from adapter._errors import AdapterError
from adapter._runtime.adapters import draw_noise, load_adapter

_CROPS = 3
_GREY_LEVEL = 2 / 255


def check_device(device: str) -> str:
    """Adapt a few crops on a device, and hold them against the processor's.

    Args:
        device: torch's name of it, as "cuda:1", which `device_here` has seen to work.

    Returns:
        What people call it.

    Raises:
        AdapterError: the device cannot run the adapter that comes with the package, or makes
            pictures that are more than a grey level off the processor's.
    """
    by_torch = load_adapter("shipped", "torch", device=device)
    info = by_torch.info
    shape = (_CROPS, info.channels, info.size, info.size)
    crops = np.random.default_rng(0).uniform(-1.0, 1.0, shape).astype(np.float32)
    noise = draw_noise(0, np.arange(_CROPS), info.noise_dimension)
    difference = by_torch.adapt(crops, noise) - load_adapter("shipped").adapt(crops, noise)
    off = float(np.abs(difference).max()) / _GREY_LEVEL
    if off > 1:
        raise AdapterError(
            f"{by_torch.runs_on} adapts crops {off:.1f} grey levels off the processor's: install "
            "another version of torch or of the GPU's driver, or give `device` cpu"
        )
    return by_torch.runs_on
