"""The rasteriser on an NVIDIA GPU: the same crops, by the ten thousand, without leaving the GPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer._crops import CropBatch, Plans, RenderError
from renderer._engines.cuda.device import (
    FACES_AT_ONCE,
    THREADS,
    CudaLauncher,
    Launcher,
    job_fields,
    pack_job,
)
from renderer._engines.raster.kernels import Meshes, Scenes
from renderer._engines.raster.renderer import RasterRenderer
from renderer._refusals import NEAR

if TYPE_CHECKING:
    import torch

_SHARES = {"project_vertices": THREADS, "draw_faces": FACES_AT_ONCE}
"""How many vertices or faces of an object a block works on at once."""
_BLOCKS = 4096
"""Enough to keep the largest GPUs busy."""
_SCRATCH_BYTES = 512 << 20
"""More crops than fit into these are drawn one part after the other."""
Grid: TypeAlias = "dict[str, torch.Tensor | int]"
"""One grid of samples: what is drawn on it, by the names of the kernels' `Job`."""

_KEY_BYTES = 8
_CORNER_BYTES = 16


@dataclass(frozen=True)
class CropTensors:
    """A `CropBatch` on the GPU: the same fields, as torch tensors.

    They are ready for work in torch's current stream. Other libraries take them without a copy
    through DLPack or `__cuda_array_interface__`.
    """

    plans: Plans
    rgb: torch.Tensor
    """(N, H, W, 3) uint8."""
    depth: torch.Tensor
    """(N, H, W) float32, millimetres, 0 where there is no surface."""
    object_depth: torch.Tensor
    """(N, H, W) float32, millimetres, of the target alone."""
    mask: torch.Tensor
    """(N, H, W) bool."""
    mask_visib: torch.Tensor
    """(N, H, W) bool."""
    others_mask: torch.Tensor
    """(N, K, H, W) bool."""
    others_mask_visib: torch.Tensor
    """(N, K, H, W) bool."""
    normals: torch.Tensor | None = None
    """(N, H, W, 3) float32."""
    object_coordinates: torch.Tensor | None = None
    """(N, H, W, 3) float32."""

    def __len__(self) -> int:
        return len(self.plans)

    def to_batch(self) -> CropBatch:
        """The same in the processor's memory."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plans = fields.pop("plans")
        tensors = {name: tensor for name, tensor in fields.items() if tensor is not None}
        return CropBatch(plans=plans, **_to_processor(tensors))

    def encode(self, window: float = 200.0) -> torch.Tensor:
        """What adapters take: (N, 4, H, W) float32 in [-1, 1], as `adapter.encode` makes it.

        Args:
            window: side of the crop's window, millimetres.
        """
        import torch

        color = self.rgb.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        centre = torch.tensor(self.plans.centre_depth, dtype=torch.float32)
        centre = _to(color.device, centre)
        relative = ((self.depth - centre[:, None, None]) / window).clamp(-1.0, 1.0)
        relative = torch.where(self.depth > 0, relative, 1.0)
        return torch.cat([color, relative[:, None]], dim=1)


class CudaRasterRenderer(RasterRenderer):
    """The rasteriser on an NVIDIA GPU. Its crops are those of `RasterRenderer`.

    They agree in every mask and in depth to the last bit or nearly so, and in colour to one level:
    both follow the same arithmetic. (A processor's and a GPU's powers, for highlights, differ in
    their last bits.)

    Args:
        models: what `Plans.object_index` counts.
        textures: what `Surfaces.texture` counts, each (h, w, 3) RGB, top row first.
        antialias: as for `RasterRenderer`.
        levels: as for `RasterRenderer`; a GPU hardly needs them, but without them crops differ.
        device: torch's name of the GPU, as "cuda" or "cuda:1".
        launcher: what runs the kernels; by default, `device` does.

    Raises:
        RenderError: there is no such GPU here, something that it takes is not installed, or
            models or textures are as `RasterRenderer` refuses them.
    """

    def __init__(
        self,
        models: Sequence[CadModel],
        textures: Sequence[NDArray[np.uint8]] = (),
        *,
        antialias: bool = False,
        levels: bool = True,
        device: str = "cuda",
        launcher: Launcher | None = None,
    ) -> None:
        self._launcher = CudaLauncher(device) if launcher is None else launcher
        super().__init__(models, antialias=antialias, textures=textures, levels=levels)
        self._uploaded: tuple[Meshes, dict[str, torch.Tensor]] | None = None

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return self._launcher.device

    @property
    def description(self) -> str:
        """The GPU's name."""
        return self._launcher.name

    def close(self) -> None:
        """Give back the GPU's memory that the meshes take, until they are drawn again."""
        self._uploaded = None

    def render(self, plans: Plans, *, surface_maps: bool = False) -> CropBatch:
        """Render every plan, into the processor's memory.

        Raises:
            RenderError: as `RasterRenderer.render`, or the GPU's memory is too small.
        """
        return self.render_tensors(plans, surface_maps=surface_maps).to_batch()

    def render_tensors(self, plans: Plans, *, surface_maps: bool = False) -> CropTensors:
        """Render every plan and leave the crops on the GPU, which may still be drawing them.

        Args:
            plans: N crops.
            surface_maps: whether normals and object coordinates are wanted.

        Raises:
            RenderError: as `RasterRenderer.render`, or the GPU's memory is too small.
        """
        import torch

        meshes, scenes = self._scenes(plans)
        centres = _centres(meshes, scenes)
        self._refuse_too_near(plans, _nearest(meshes, scenes, centres))
        _refuse_too_many(meshes, scenes)
        try:
            return self._render(plans, meshes, scenes, centres, surface_maps)
        except torch.OutOfMemoryError as error:
            raise RenderError(
                f"the GPU's memory is too small for {len(plans)} crops of {plans.width} x "
                f"{plans.height} pixels at once: render fewer at a time"
            ) from error

    def _render(
        self,
        plans: Plans,
        meshes: Meshes,
        scenes: Scenes,
        centres: NDArray[np.float64],
        surface_maps: bool,
    ) -> CropTensors:
        uploaded = self._upload_once(meshes)
        images = self._empty_images(plans, surface_maps)
        inputs = self._upload(scenes._asdict() | {"lights": _lights(scenes)})
        finenesses = (1,) if self._fineness == 1 else (1, self._fineness)
        cameras = [
            self._upload({"cameras": _cameras(scenes, centres, fineness)})["cameras"]
            for fineness in finenesses
        ]
        counts = np.append(np.diff(meshes.vertex_range)[:, 0], 0)[scenes.mesh]
        for rows in _chunks(counts, plans.height * plans.width, finenesses):
            chunk = _Chunk(
                self._launcher,
                uploaded | {name: tensor[rows] for name, tensor in (inputs | images).items()},
                counts[rows],
                _most_faces(meshes),
                (plans.height, plans.width),
            )
            grids = [
                chunk.draw(camera[rows], fineness)
                for camera, fineness in zip(cameras, finenesses, strict=True)
            ]
            chunk.shade(grids[0], grids[-1])
        return CropTensors(plans=plans, **images)

    def _upload_once(self, meshes: Meshes) -> dict[str, torch.Tensor]:
        """The meshes on the GPU; they change only when new levels of detail are made."""
        if self._uploaded is None or self._uploaded[0] is not meshes:
            self._uploaded = meshes, self._upload(meshes._asdict())
            _wait(self._launcher.device)  # other streams may be the next to read them
        return self._uploaded[1]

    def _upload(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, torch.Tensor]:
        """Those arrays that the kernels take, on the GPU."""
        import torch

        return {
            name: _to(self._launcher.device, torch.tensor(_signed(values)))
            for name, values in arrays.items()
            if name in job_fields()
        }

    def _empty_images(self, plans: Plans, surface_maps: bool) -> dict[str, torch.Tensor]:
        import torch

        shape = (len(plans), plans.height, plans.width)
        others_shape = (shape[0], plans.others.object_index.shape[1], *shape[1:])
        shapes = {
            "rgb": ((*shape, 3), torch.uint8), "depth": (shape, torch.float32),
            "object_depth": (shape, torch.float32), "mask": (shape, torch.bool),
            "mask_visib": (shape, torch.bool), "others_mask": (others_shape, torch.bool),
            "others_mask_visib": (others_shape, torch.bool),
        }  # fmt: skip
        if surface_maps:
            maps = ((*shape, 3), torch.float32)
            shapes |= {"normals": maps, "object_coordinates": maps}
        images = {
            name: torch.empty(size, dtype=kind, device=self._launcher.device)
            for name, (size, kind) in shapes.items()
        }
        images["others_mask"].zero_()  # the others' samples are the only ones that are written
        return images


class _Chunk:
    """Crops that are drawn together.

    Args:
        launcher: what runs the kernels.
        values: the meshes, and the crops' inputs and images.
        counts: (N, 1 + K), vertices of each object.
        most_faces: of any mesh.
        size: height and width, pixels.
    """

    def __init__(
        self,
        launcher: Launcher,
        values: Mapping[str, torch.Tensor],
        counts: NDArray[np.int64],
        most_faces: int,
        size: tuple[int, int],
    ) -> None:
        import torch

        self._launcher = launcher
        self._crops, self._places = counts.shape
        self._pixels = self._crops * size[0] * size[1]
        self._corners = int(counts.sum())
        self._most = {"project_vertices": int(counts.max()), "draw_faces": most_faces}
        starts = counts.cumsum().reshape(counts.shape) - counts
        self._job: dict[str, torch.Tensor | int] = {
            **values,
            "starts": _to(launcher.device, torch.tensor(starts)),
            "crops": self._crops,
            "places": self._places,
            "light_count": values["light_color"].shape[1],
            "height": size[0],
            "width": size[1],
            "vertex_count": values["vertices"].shape[1],
            "face_bits": _bits(most_faces),
        }

    def draw(self, cameras: torch.Tensor, fineness: int) -> Grid:
        """Find what is nearest at each sample, and on the pixels' grid what the target covers.

        Args:
            cameras: (N, 1 + K, 12), from `_cameras`.
            fineness: samples along a pixel's side.
        """
        import torch

        device = self._launcher.device
        grid: Grid = {
            "cameras": cameras,
            "fineness": fineness,
            "corners": torch.empty((self._corners, 4), device=device),
            "keys": torch.zeros(self._pixels * fineness**2, dtype=torch.int64, device=device),
        }
        self._launch_for_objects("project_vertices", grid, 0, self._places)
        self._launch_for_objects("draw_faces", grid, 0, 1)
        if fineness == 1:
            self._launch_for_pixels("keep_target", grid)
        if self._places > 1:
            self._launch_for_objects("draw_faces", grid, 1, self._places - 1)
        return grid

    def shade(self, pixels: Grid, finest: Grid) -> None:
        """Write what is seen, with colours from the finest grid's samples."""
        fine = {
            "fineness": finest["fineness"],
            "fine_corners": finest["corners"],
            "fine_keys": finest["keys"],
        }
        self._launch_for_pixels("shade_pixels", pixels | fine)

    def _launch_for_objects(self, kernel: str, grid: Grid, first: int, count: int) -> None:
        """Start a kernel for `count` places from `first` on, for each object in several blocks."""
        objects = self._crops * count
        parts = min(-(-_BLOCKS // objects), -(-self._most[kernel] // _SHARES[kernel]))
        places = {"first_place": first, "drawn_places": count, "parts": parts}
        self._launcher.launch(kernel, objects * parts, pack_job(self._job | grid | places))

    def _launch_for_pixels(self, kernel: str, grid: Grid) -> None:
        self._launcher.launch(kernel, -(-self._pixels // THREADS), pack_job(self._job | grid))


def _chunks(counts: NDArray[np.int64], pixels: int, finenesses: Sequence[int]) -> Iterator[slice]:
    """Crops, of `counts` (N, 1 + K) vertices, that can be drawn together."""
    keys = pixels * sum(fineness**2 for fineness in finenesses)
    corners = len(finenesses) * int(counts.sum(axis=1).max(initial=0))
    at_once = max(1, _SCRATCH_BYTES // (_KEY_BYTES * keys + _CORNER_BYTES * corners))
    for first in range(0, len(counts), at_once):
        yield slice(first, first + at_once)


def _most_faces(meshes: Meshes) -> int:
    return int(np.diff(meshes.face_range).max())


def _refuse_too_many(meshes: Meshes, scenes: Scenes) -> None:
    places, faces = scenes.mesh.shape[1], _most_faces(meshes)
    if places > 1 << (32 - _bits(faces)):
        raise RenderError(
            f"{places} objects of up to {faces:,} faces in a crop are more than the GPU's renderer "
            "can count: use RasterRenderer (`renderer` raster)"
        )


def _to(device: torch.device, tensor: torch.Tensor) -> torch.Tensor:
    """The tensor on a device, copied there without waiting for what that is doing."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def _wait(device: torch.device) -> None:
    """Until all copies are done that were started in torch's current stream."""
    import torch

    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()


def _signed(values: NDArray[Any]) -> NDArray[Any]:
    """The same bytes; torch has little to offer for large unsigned numbers."""
    large = values.dtype.kind == "u" and values.itemsize > 1
    return values.view(f"i{values.itemsize}") if large else values


def _bits(count: int) -> int:
    """How many bits it takes to count so many."""
    return max(1, (count - 1).bit_length())


def _centres(meshes: Meshes, scenes: Scenes) -> NDArray[np.float64]:
    """(N, 1 + K, 3), u and v in pixels and z of the objects' centres."""
    r, t, k = scenes.rotation, scenes.translation, scenes.camera_matrix[:, None]
    middle = meshes.centres[scenes.mesh][..., None, :]
    centre = r[..., 0] * middle[..., 0] + r[..., 1] * middle[..., 1] + r[..., 2] * middle[..., 2]
    x, y, z = np.moveaxis(centre + t, -1, 0)
    z = np.where(scenes.mesh < 0, 1.0, z)
    with np.errstate(divide="ignore", invalid="ignore"):  # what is too near is refused later
        u = (k[..., 0, 0] * x + k[..., 0, 1] * y) / z + k[..., 0, 2]
        v = k[..., 1, 1] * y / z + k[..., 1, 2]
    return np.stack([u, v, z], axis=-1)


def _nearest(meshes: Meshes, scenes: Scenes, centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 1 + K), least z of each object, or of a box around it that is far enough."""
    least = centres[..., 2].copy()
    for axis in range(3):
        least -= np.abs(scenes.rotation[..., 2, axis]) * meshes.half_sizes[scenes.mesh, axis]
    least[scenes.mesh < 0] = np.inf
    # The box around an object may reach too near where the object itself does not.
    for row, place in np.argwhere(~(least > NEAR)):
        first, last = meshes.vertex_range[scenes.mesh[row, place]]
        toward = scenes.rotation[row, place, 2].astype(np.float32)
        z = toward @ meshes.vertices[:, first:last] + np.float32(centres[row, place, 2])
        least[row, place] = z.min()
    return least


def _cameras(scenes: Scenes, centres: NDArray[np.float64], fineness: int) -> NDArray[np.float32]:
    """(N, 1 + K, 12): how a point off an object's centre moves in the grid of samples.

    Rows of u x z, v x z and z, then the centre's own: counted from there, single precision is
    enough however far off the crop lies in its camera.
    """
    r, k = scenes.rotation, scenes.camera_matrix[:, None, :, :, None]
    u, v, z = (centres[..., axis, None] for axis in range(3))
    rows = [
        fineness
        * (k[..., 0, 0, :] * r[..., 0, :] + k[..., 0, 1, :] * r[..., 1, :]
           + (k[..., 0, 2, :] - u) * r[..., 2, :]),
        fineness * (k[..., 1, 1, :] * r[..., 1, :] + (k[..., 1, 2, :] - v) * r[..., 2, :]),
        r[..., 2, :],
        np.rint((fineness * u - 0.5) * 2**14) / 2**14,
        np.rint((fineness * v - 0.5) * 2**14) / 2**14,
        z,
    ]  # fmt: skip
    return np.concatenate(rows, axis=-1).astype(np.float32)


def _lights(scenes: Scenes) -> NDArray[np.float32]:
    """(N, 1 + K, L, 3), directions to the lights in each object's own frame."""
    turned = np.einsum("npji,nlj->npli", scenes.rotation, scenes.light_direction)
    return np.asarray(turned, np.float32)


def _to_processor(tensors: Mapping[str, torch.Tensor]) -> dict[str, NDArray[Any]]:
    import torch

    copies = {}
    for name, tensor in tensors.items():
        # Only memory that stays in its place is copied at the bus's full speed.
        copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
        copies[name] = copy.copy_(tensor, non_blocking=True)
    _wait(tensors["rgb"].device)
    return {name: copy.numpy() for name, copy in copies.items()}
