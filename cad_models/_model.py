"""What a CAD model is to the rest of the project: plain arrays and facts, no file handling."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cad_models._outermost import outermost
from checked_settings import RenderAdaptError, SettingError


class ModelError(RenderAdaptError, ValueError):
    """A CAD model cannot be used; the message says which, why and what to do."""


class WrongObjects(ModelError, SettingError):
    """`objects` names what there is not, or names it in a way that cannot be taken."""


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh as the renderers take it.

    Convention:
        Millimetres, right-handed. Faces wind counter-clockwise seen from outside.
        Texture coordinates have (0, 0) at the texture's bottom-left corner, as in OBJ and PLY.
    """

    vertices: NDArray[np.float32]
    """(V, 3), millimetres."""
    faces: NDArray[np.int32]
    """(F, 3), indices into `vertices`."""
    normals: NDArray[np.float32]
    """(V, 3), unit, outward: the smooth shading normals."""
    colors: NDArray[np.uint8]
    """(V, 3), RGB. Where there is a texture, it takes the place of these."""
    texture_coordinates: NDArray[np.float32] | None = None
    """(V, 2) or None."""
    texture: NDArray[np.uint8] | None = None
    """(H, W, 3), RGB, top row first, or None."""


@dataclass(frozen=True)
class ContinuousSymmetry:
    """Any rotation about `axis` through `offset` leaves the object as it looks."""

    axis: tuple[float, float, float]
    offset: tuple[float, float, float]
    """Millimetres."""


@dataclass(frozen=True)
class Symmetries:
    """The symmetries of `models_info.json` (BOP): discrete 4x4 transforms and continuous axes."""

    discrete: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4, 4)))
    """(K, 4, 4), rigid transforms in millimetres, the identity left out."""
    continuous: tuple[ContinuousSymmetry, ...] = ()


@dataclass(frozen=True)
class CadModel:
    """One object that can be rendered and labelled."""

    name: str
    """The name in `objects`: letters, digits, `_`, `-`."""
    object_id: int
    """The BOP `obj_id`, at least 1, unique within a run."""
    mesh: Mesh
    diameter: float
    """Largest distance between two vertices, millimetres; of large balls up to a millionth less."""
    symmetries: Symmetries
    origin: str
    """Where it came from, for provenance: `built-in`, or the file's name."""
    sha256: str
    """Hash of the file that it was read from, and of the textures and materials that it names."""
    notes: tuple[str, ...] = ()
    """A sentence for each thing in the file that cannot be shown as it was meant."""

    @functools.cached_property
    def bounds(self) -> NDArray[np.float64]:
        """(2, 3), least and greatest corner of the bounding box, millimetres. Read-only."""
        vertices = self.mesh.vertices
        bounds = np.stack([vertices.min(axis=0), vertices.max(axis=0)]).astype(np.float64)
        bounds.setflags(write=False)
        return bounds

    @functools.cached_property
    def hull(self) -> NDArray[np.float64]:
        """(H, 3), vertices among which are all corners of the convex hull, millimetres.

        Those that surely are none are left out, but for few near the hull. Read-only."""
        vertices = self.mesh.vertices.astype(np.float64)
        corners = vertices[outermost(vertices)]
        corners.setflags(write=False)
        return np.asarray(corners)

    @property
    def centre(self) -> NDArray[np.float64]:
        """(3,), centre of the bounding box in model coordinates, millimetres."""
        return np.asarray(self.bounds.mean(axis=0))
