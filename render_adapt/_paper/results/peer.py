"""The networks of PyTorch-GAN's PixelDA script, from a checkout of it, in its training step.

The script trains as soon as it is imported, so its classes are taken out of it. Nothing of it is
in this repository; the step below is ours, and does what the script's does: least-squares losses,
one Adam for generator and classifier, one for the discriminator, one batch for both.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from adapter import LabelledCrops
from checked_settings import SettingError
from safe_files import read_file

SCRIPT = Path("implementations/pixelda/pixelda.py")
_NETWORKS = ("Generator", "Discriminator", "Classifier")
_MOST_SCRIPT = 2**20
_TASK_WEIGHT = 0.1
_DEFAULTS = {"n_residual_blocks": 6, "latent_dim": 10, "channels": 3, "n_classes": 10}


def peer_networks(checkout: Path, size: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Generator, discriminator and classifier, for crops of `size` pixels, initialised.

    Raises:
        SettingError: the checkout has no such script, or it has other networks.
    """
    script = checkout / SCRIPT
    try:
        parsed = ast.parse(read_file(script, most=_MOST_SCRIPT))
    except OSError as error:
        raise SettingError(
            f"{script} cannot be read ({error.strerror}); `peer` names a checkout of "
            "eriklindernoren/PyTorch-GAN"
        ) from error
    definitions: list[ast.stmt] = [
        node for node in parsed.body if isinstance(node, ast.ClassDef | ast.FunctionDef)
    ]
    options = SimpleNamespace(**_DEFAULTS, img_size=size)
    names: dict[str, Any] = {"torch": torch, "nn": nn, "F": F, "np": np, "opt": options}
    exec(compile(ast.Module(definitions, []), str(script), "exec"), names)
    if not {*_NETWORKS, "weights_init_normal"} <= names.keys():
        raise SettingError(f"{script} lacks {', '.join(_NETWORKS)} or weights_init_normal")
    made = tuple(names[name]().apply(names["weights_init_normal"]) for name in _NETWORKS)
    return made[0], made[1], made[2]


def peer_steps(
    checkout: Path,
    source: LabelledCrops,
    target: NDArray[Any],
    batch: int,
    device: str,
) -> Iterator[None]:
    """The script's training steps, one after the other, without end.

    What it prints is left out, and so is its classifier's accuracy on the target.
    """
    networks = peer_networks(checkout, source.images.shape[-1])
    generator, discriminator, classifier = (network.to(device) for network in networks)
    parameters = [*generator.parameters(), *classifier.parameters()]
    adam_generator = torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))
    adam_discriminator = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    source_images, target_images = (
        torch.from_numpy(np.array(images)).to(device) for images in (source.images, target)
    )
    class_index = torch.from_numpy(source.class_index).to(device)
    source_rows, target_rows = (_rows(len(images), batch, device) for images in (source, target))
    while True:
        rows = next(source_rows)
        x, real = source_images[rows].float(), target_images[next(target_rows)].float()
        labels = class_index[rows]
        z = _to_device(2.0 * torch.rand(batch, _DEFAULTS["latent_dim"]) - 1.0, device)
        with warnings.catch_warnings():
            # Its softmax does not say over which dimension.
            warnings.simplefilter("ignore", UserWarning)
            adapted: Tensor = generator(x, z)
            task = [F.cross_entropy(classifier(crops), labels) for crops in (adapted, x)]
        judged = discriminator(adapted)
        loss = F.mse_loss(judged, torch.ones_like(judged)) + _TASK_WEIGHT * sum(task) / 2
        _descend(adam_generator, loss)
        true, false = discriminator(real), discriminator(adapted.detach())
        loss = F.mse_loss(true, torch.ones_like(true)) + F.mse_loss(false, torch.zeros_like(false))
        _descend(adam_discriminator, loss / 2)
        yield


def _rows(n: int, batch: int, device: str) -> Iterator[Tensor]:
    """(batch,) positions among n, without end, in a new order each time round."""
    order = torch.empty(0, dtype=torch.int64)
    while True:
        while len(order) < batch:
            order = torch.cat([order, torch.randperm(n)])
        yield _to_device(order[:batch], device)
        order = order[batch:]


def _to_device(tensor: Tensor, device: str) -> Tensor:
    """The tensor on `device`, copied there without waiting for what the GPU is doing."""
    return tensor if device == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
