"""How an object and what it stands on look, gathered from many crops in their poses.

One crop says little of a small object's pose. But all crops of an object show the same surface, and
where it kept its place, the same ground around it. So what others show at a pose can be drawn, and
compared with what a crop shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cad_models import CadModel
from renderer import CropBatch

_SURROUNDINGS = 6 / 64
"""Of a crop's side: how far around a pixel its contrast is taken from."""
_LEAST_CONTRAST = 4.0
"""Of 255: what changes less than this is taken for noise."""
_REACH = 0.8
"""Of a crop's window: how far from the object's middle the ground is looked at."""
_FINENESS = 1.5
"""Cells of the ground in a pixel of a crop."""
_MOST_CELLS = 128
"""Along each side of the object's box."""
_FEWEST = 3.0
"""Views that a place's look is shrunk to nothing by: of fewer it is not known."""
_GRAZING = 0.05
"""Of a ray of length 1 and more, downwards: flatter ones see nothing of the ground."""


def contrasts(rgb: NDArray[np.uint8], blur: float) -> NDArray[np.float32]:
    """(N, S, S, 3), how pixels differ from their surroundings, of what is usual there: whatever the
    light and the exposure are.

    Args:
        rgb: (N, S, S, 3).
        blur: pixels by which the crops are softened first.
    """
    result = np.empty(rgb.shape, np.float32)
    around = (0, 0), _SURROUNDINGS * rgb.shape[1]
    for row, picture in enumerate(rgb):
        soft = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), blur)
        off = soft - cv2.GaussianBlur(soft, *around)
        usual = np.sqrt(cv2.GaussianBlur((off**2).mean(axis=2), *around))
        result[row] = off / (usual + np.float32(_LEAST_CONTRAST))[..., None]
    return result


@dataclass(frozen=True)
class Lattice:
    """Where looks are kept: cells through an object's box, and over the ground that it stands on,
    which is the plane z = its least z, as renderers have it."""

    low: NDArray[np.float64]
    """(3,), the box's least corner, millimetres."""
    extent: NDArray[np.float64]
    """(3,), its sides."""
    cell: float
    """Side of a cell within the box."""
    ground_cell: float
    ground_reach: float

    @classmethod
    def of(cls, model: CadModel, window: float, size: int) -> Lattice:
        """For crops of size x size pixels that show `window` millimetres."""
        low, high = model.bounds
        extent = np.asarray(high - low)
        pixel = window / size
        cell = max(pixel, float(extent.max()) / (_MOST_CELLS - 3))
        return cls(low, extent, cell, pixel / _FINENESS, _REACH * window)

    @property
    def box(self) -> tuple[int, int, int]:
        """Cells along x, y and z; there is one more on each side."""
        x, y, z = (int(np.ceil(side / self.cell)) + 3 for side in self.extent)
        return x, y, z

    @property
    def ground(self) -> int:
        """Cells along x and y."""
        return int(2 * self.ground_reach / self.ground_cell)

    def places(self, drawn: CropBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What M drawn crops show at each pixel.

        Args:
            drawn: crops of this object alone, with surface maps.

        Returns:
            (M, S, S) whether the object, (M, S, S, 3) the cell within its box as a fraction,
            (M, S, S) whether the ground, and (M, S, S, 2) its cell.
        """
        assert drawn.object_coordinates is not None
        shown = torch.from_numpy(drawn.mask_visib)
        extent = torch.from_numpy(self.extent.astype(np.float32))
        inside = torch.from_numpy(drawn.object_coordinates) * (extent / self.cell) + 1
        plans = drawn.plans
        rotation, translation, camera = (
            torch.from_numpy(np.asarray(one, np.float32))
            for one in (plans.rotation, plans.translation, plans.camera_matrix)
        )
        centres = torch.arange(drawn.mask_visib.shape[1]) + 0.5
        across = (centres - camera[:, 0, 2, None]) / camera[:, 0, 0, None]
        down = (centres - camera[:, 1, 2, None]) / camera[:, 1, 1, None]
        # Rays and the camera's place, in the model's frame.
        rays = (
            across[:, None, :, None] * rotation[:, None, None, 0]
            + down[:, :, None, None] * rotation[:, None, None, 1]
            + rotation[:, None, None, 2]
        )
        eye = -torch.einsum("mij,mi->mj", rotation, translation)[:, None, None]
        falls = rays[..., 2] < -_GRAZING
        far = (float(self.low[2]) - eye[..., 2]) / torch.where(falls, rays[..., 2], -1.0)
        middle = torch.from_numpy((self.low + self.extent / 2)[:2].astype(np.float32))
        on_ground = eye[..., :2] + far[..., None] * rays[..., :2] - middle + self.ground_reach
        on_ground = on_ground / self.ground_cell
        near = ((on_ground >= 0) & (on_ground <= self.ground - 1)).all(dim=3)
        return shown, inside, falls & near & (far > 0) & ~shown, on_ground


@dataclass(frozen=True)
class Appearance:
    """The mean contrasts of an object's surface and of the ground, in the cells of a lattice.

    Where crops differ their mean is small: it claims nothing there.
    """

    lattice: Lattice
    box: Tensor
    """(1, 3, X, Y, Z)."""
    ground: Tensor
    """(1, 3, P, P)."""

    @classmethod
    def gather(
        cls, lattice: Lattice, drawn: CropBatch, seen: NDArray[np.float32], smooth: float
    ) -> Appearance:
        """From crops in their poses.

        Args:
            lattice: of the object.
            drawn: the object in the poses of N crops, with surface maps.
            seen: (N, S, S, 3), the `contrasts` of the crops.
            smooth: pixels over which neighbours share what they show.
        """
        shown, inside, ground, on_ground = lattice.places(drawn)
        pixel = lattice.ground_cell * _FINENESS
        box = _means(inside[shown], seen[shown.numpy()], lattice.box, smooth * pixel / lattice.cell)
        side = (lattice.ground, lattice.ground)
        plane = _means(on_ground[ground], seen[ground.numpy()], side, smooth * _FINENESS)
        return cls(lattice, torch.from_numpy(box)[None], torch.from_numpy(plane)[None])

    def explained(self, drawn: CropBatch, seen: Tensor) -> NDArray[np.float64]:
        """(M,), the share of a crop's contrast that is as others show it in that pose: 1 where all
        of it is, 0 where nothing is known, less where it is otherwise.

        Args:
            drawn: the object in M poses, with surface maps.
            seen: (M, 3, S, S), the contrasts of each one's crop.
        """
        expected, _ = self._expected(drawn)
        return _share(expected, seen)

    def around(self, drawn: CropBatch, seen: Tensor) -> NDArray[np.float64]:
        """(M,), likewise, of what is seen of the ground alone."""
        expected, ground = self._expected(drawn)
        return _share(expected * ground[:, None], seen * ground[:, None])

    def _expected(self, drawn: CropBatch) -> tuple[Tensor, Tensor]:
        """(M, 3, S, S) contrasts as others show them, and (M, S, S) where that is the ground."""
        shown, inside, ground, on_ground = self.lattice.places(drawn)
        expected = torch.zeros(3, *shown.shape)
        expected[:, shown] = _looked_up(self.box, inside[shown])
        expected[:, ground] = _looked_up(self.ground, on_ground[ground])
        return expected.transpose(0, 1), ground


def _share(expected: Tensor, seen: Tensor) -> NDArray[np.float64]:
    common = (expected * (2 * seen - expected)).sum(dim=(1, 2, 3))
    whole = (seen**2).sum(dim=(1, 2, 3)).clamp(min=1e-6)
    return np.asarray((common / whole).double().numpy())


def _looked_up(cells: Tensor, places: Tensor) -> Tensor:
    """(3, P), what (1, 3, ...) cells hold at (P, number of sides) places, cells as fractions."""
    sides = torch.tensor(cells.shape[2:])
    # The last axis goes first where torch takes samples.
    where = (2 * places / (sides - 1) - 1).flip(1)
    ones = [1] * (len(sides) - 1)
    taken = functional.grid_sample(cells, where.reshape(1, *ones, *where.shape), align_corners=True)
    return taken.reshape(3, len(places))


def _means(
    places: Tensor, values: NDArray[np.float32], sides: tuple[int, ...], smooth: float
) -> NDArray[np.float32]:
    """(3, *sides), the mean of (P, 3) values near each cell.

    Args:
        places: (P, number of sides), cells as fractions.
        values: (P, 3).
        sides: how many cells there are.
        smooth: in cells, a Gaussian's standard deviation.
    """
    cells = np.ravel_multi_index(tuple(places.numpy().round().astype(np.int64).T), sides)
    count = np.bincount(cells, minlength=int(np.prod(sides))).reshape(sides)
    weight = _blurred(count.astype(np.float32), smooth) + np.float32(_FEWEST)
    sums = [
        np.bincount(cells, values[:, k], len(count.ravel())).reshape(sides).astype(np.float32)
        for k in range(3)
    ]
    return np.stack([_blurred(one, smooth) / weight for one in sums])


def _blurred(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Values of any number of axes, through a Gaussian that is cut off at four times `sigma`.

    Values are mirrored at the borders. To the bit what `scipy.ndimage.gaussian_filter` makes of
    them, without its hundred megabytes.
    """
    radius = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 / sigma**2 * np.arange(-radius, radius + 1) ** 2)
    weights /= weights.sum()
    for axis in range(values.ndim):
        margins = [(0, 0)] * values.ndim
        margins[axis] = (radius, radius)
        line = np.moveaxis(np.pad(values, margins, mode="symmetric"), axis, 0).astype(np.float64)
        count = len(line) - 2 * radius
        blurred = line[radius : radius + count] * weights[radius]
        for off in range(radius, 0, -1):
            before, behind = (line[radius + way : radius + way + count] for way in (-off, off))
            blurred += (before + behind) * weights[radius - off]
        values = np.moveaxis(blurred.astype(np.float32), 0, axis)
    return values
