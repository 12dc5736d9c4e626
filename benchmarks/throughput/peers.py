"""The same job by other means: a renderer, a plain PyTorch loop with the same generator, files.

A peer draws each crop of the plans that our run has, adapts it, and writes what a BOP scene holds:
colour, depth and the object's mask as PNG, and poses and cameras as JSON. It judges nothing, keeps
no index and no hashes, puts no backgrounds behind objects and flushes nothing to disk, so that it
does less.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapter import decode, draw_noise, encode, load_adapter
from cad_models import CadModel
from checked_settings import RenderAdaptError
from renderer import Plans, make_renderer

BATCH = 16
"""Crops that the loop adapts at once."""

Draw = Callable[[Plans], tuple[NDArray[np.uint8], NDArray[np.float32]]]
"""(N, H, W, 3) colours and (N, H, W) depth in millimetres of plans."""


@dataclass(frozen=True)
class Peer:
    """A renderer of others, with the same loop behind it."""

    name: str
    make: Callable[[Sequence[CadModel], int], Draw]
    """Of models, and the side of a crop."""
    crops: int
    """At most so many are made in a turn: where one takes seconds."""


class Pyrender:
    """`pyrender.OffscreenRenderer.render` in a loop, as its examples have it."""

    def __init__(self, models: Sequence[CadModel], size: int) -> None:
        from benchmarks.render_peers import Pyrender as OneModel

        self._of = [OneModel(model, size) for model in models]

    def __call__(self, plans: Plans) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        pictures = [
            self._of[plans.object_index[row]].picture(plans, row) for row in range(len(plans))
        ]
        colors, depth = zip(*pictures, strict=True)
        return np.stack(colors), np.stack(depth)


class Bpy:
    """Cycles through bpy by our own engine, which keeps a scene and changes its poses: what
    BlenderProc does at best, without what it does beside."""

    def __init__(self, models: Sequence[CadModel], size: int) -> None:
        self._renderer = make_renderer("blender", models)

    def __call__(self, plans: Plans) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        crops = self._renderer.render(plans)
        return crops.rgb, crops.depth


PEERS = (
    Peer("pyrender + PyTorch loop", Pyrender, 10_000),
    Peer("bpy (Cycles) + PyTorch loop", Bpy, 16),
)


def measure_peer(
    peer: Peer, models: Sequence[CadModel], plans: Plans, adapter: str, device: str, turns: int
) -> dict[str, Any]:
    """Crops/s of a peer, the median over turns; or why it cannot run here.

    Args:
        peer: which.
        models: what the plans count.
        plans: of as many crops as a turn has, or more.
        adapter: as for `load_adapter`.
        device: torch's name of what the loop runs on.
        turns: how often.
    """
    plans = plans[: peer.crops]
    try:
        draw = peer.make(models, plans.size)
        loop = PlainLoop(adapter, device)
        _make_nowhere(loop, draw, plans[:1], models)
    except (ImportError, OSError, RuntimeError, AttributeError, RenderAdaptError) as error:
        # Libraries for OpenGL fail in each of these ways where there is no driver.
        return {"left out": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    seconds = []
    for _ in range(turns):
        started = time.perf_counter()
        _make_nowhere(loop, draw, plans, models)
        seconds.append(time.perf_counter() - started)
    return {"crops": len(plans), "crops/s": len(plans) / statistics.median(seconds)}


def _make_nowhere(loop: PlainLoop, draw: Draw, plans: Plans, models: Sequence[CadModel]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        loop.make(Path(folder), draw, plans, models)


class PlainLoop:
    """What somebody writes who has a generator and a renderer.

    Args:
        adapter: as for `load_adapter`.
        device: torch's name of what the generator runs on.
    """

    def __init__(self, adapter: str, device: str) -> None:
        import torch

        torch.set_num_threads(1)
        loaded: Any = load_adapter(adapter, "torch")
        self._info, self._device = loaded.info, device
        self._generator = loaded._generator.to(device)

    def make(self, folder: Path, draw: Draw, plans: Plans, models: Sequence[CadModel]) -> None:
        """Draw, adapt and write all crops of plans, into an empty folder."""
        for name in ("rgb", "depth", "mask_visib"):
            (folder / name).mkdir()
        gt, cameras = {}, {}
        for first in range(0, len(plans), BATCH):
            part = plans[first : first + BATCH]
            colors, depth = draw(part)
            rgb, adapted_depth = self._adapted(part, colors, depth)
            for row in range(len(part)):
                name = f"{first + row:06d}.png"
                _write(folder, name, rgb[row], adapted_depth[row], depth[row] > 0)
                gt[first + row], cameras[first + row] = _labels(part, row, models)
        (folder / "scene_gt.json").write_text(json.dumps(gt))
        (folder / "scene_camera.json").write_text(json.dumps(cameras))

    def _adapted(
        self, plans: Plans, colors: NDArray[np.uint8], depth: NDArray[np.float32]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        import torch

        info = self._info
        given = depth if info.channels == 4 else None
        x = torch.from_numpy(encode(colors, given, plans.centre_depth, info.window_mm))
        z = torch.from_numpy(draw_noise(0, plans.index, info.noise_dimension))
        with torch.inference_mode():
            adapted = self._generator(x.to(self._device), z.to(self._device)).cpu().numpy()
        rgb, new_depth = decode(adapted, plans.centre_depth, info.window_mm)
        return rgb, depth if new_depth is None or info.keeps_background else new_depth


def _write(
    folder: Path,
    name: str,
    rgb: NDArray[np.uint8],
    depth: NDArray[np.float32],
    mask: NDArray[np.bool_],
) -> None:
    cv2.imwrite(f"{folder}/rgb/{name}", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    cv2.imwrite(f"{folder}/depth/{name}", np.round(10 * depth).astype(np.uint16))
    cv2.imwrite(f"{folder}/mask_visib/{name}", 255 * mask.astype(np.uint8))


def _labels(plans: Plans, row: int, models: Sequence[CadModel]) -> tuple[list[Any], dict[str, Any]]:
    pose = {
        "obj_id": models[plans.object_index[row]].object_id,
        "cam_R_m2c": plans.rotation[row].ravel().tolist(),
        "cam_t_m2c": plans.translation[row].tolist(),
    }
    return [pose], {"cam_K": plans.camera_matrix[row].ravel().tolist(), "depth_scale": 0.1}
