"""Which mesh files can be read: by readers that come with the package, and by other packages'."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from cad_models._files.source import SourceFiles
from cad_models._mesh.checked import RawMesh, checked
from cad_models._model import ModelError
from plug_ins import PlugIns


@dataclass(frozen=True)
class Source:
    """A kind of mesh file: all in which kinds differ.

    A package of your own may bring one: for each extension an entry point of the group
    `cad_models.sources`, called as the extension is, that names an object of this class
    (docs/extending.md).
    """

    name: str
    """What people call it."""
    extensions: tuple[str, ...]
    """Of its files' names: lower case, without the dot."""
    read: Callable[[SourceFiles], RawMesh]
    """Gives the mesh, or raises ModelError with one sentence on what is wrong with the file. What
    `RawMesh` demands of it, its size and that its numbers are finite are looked at afterwards; how
    much memory a file may make it take is for the reader to limit."""


def _read_by(module: str, files: SourceFiles) -> RawMesh:
    mesh: RawMesh = importlib.import_module(f"cad_models._files.{module}").read(files)
    return mesh


def _reader(module: str) -> Callable[[SourceFiles], RawMesh]:
    """The function `read` of a module, which is imported when there is something to read."""
    return functools.partial(_read_by, module)


_SHIPPED: tuple[Source, ...] = (
    Source("STL", ("stl",), _reader("stl")),
    Source("PLY", ("ply",), _reader("ply")),
    Source("OBJ", ("obj",), _reader("obj.reader")),
    Source("OFF", ("off",), _reader("off")),
    Source("glTF", ("glb", "gltf"), _reader("gltf.reader")),
    Source("3MF", ("3mf",), _reader("three_mf.reader")),
    Source("COLLADA", ("dae",), _reader("collada")),
    Source("STEP", ("step", "stp"), _reader("step.reader")),
)

SOURCES: Mapping[str, Source] = PlugIns(
    group="cad_models.sources",
    word="source",
    kind=Source,
    shipped={extension: one for one in _SHIPPED for extension in one.extensions},
    names_of=lambda one: one.extensions,
    error=ModelError,
)
"""All kinds of mesh files by extension, those of installed packages too, each loaded when it is
asked for."""

_ARRAYS: Mapping[str, tuple[DTypeLike, Literal["same_kind", "safe"], tuple[int | None, ...]]] = {
    "vertices": (np.float64, "same_kind", (None, 3)),
    "faces": (np.int64, "same_kind", (None, 3)),
    "normals": (np.float64, "same_kind", (None, 3)),
    "colors": (np.uint8, "safe", (None, 3)),
    "texture_coordinates": (np.float64, "same_kind", (None, 2)),
    "texture": (np.uint8, "safe", (None, None, 3)),
}
"""Of `RawMesh`: of what kind, what may become that kind, and sizes, where None is any."""
_OF_VERTICES = ("normals", "colors", "texture_coordinates")


def read_mesh(files: SourceFiles) -> RawMesh:
    """The checked mesh of a file, in the file's unit.

    Raises:
        ModelError: nothing reads files of this kind, or the file cannot be used.
    """
    extension = files.path.suffix.lower().removeprefix(".")
    if extension not in SOURCES:
        raise ModelError(
            f"{files.path} is not a mesh file that can be read; export it as one of "
            f"{', '.join(f'.{name}' for name in SOURCES)}"
        )
    source = SOURCES[extension]
    # What is no finite number in the end, `checked` says.
    with np.errstate(all="ignore"):
        raw = source.read(files)
    return checked(_fitting(raw, f"{files.path}: the reader of {source.name}"), str(files.path))


def _fitting(raw: RawMesh, reader: str) -> RawMesh:
    """The mesh with arrays of the kinds and shapes that `RawMesh` says, whoever read it."""
    if not isinstance(raw, RawMesh):
        raise ModelError(f"{reader} gives no cad_models.RawMesh: mend or remove its package")
    arrays: dict[str, Any] = {}
    for name, (kind, casting, shape) in _ARRAYS.items():
        if getattr(raw, name) is None and name not in ("vertices", "faces"):
            continue
        array = np.asarray(getattr(raw, name))
        sizes = (len(raw.vertices), *shape[1:]) if name in _OF_VERTICES else shape
        if (
            array.ndim != len(sizes)
            or any(size not in (None, has) for size, has in zip(sizes, array.shape, strict=True))
            or not np.can_cast(array.dtype, kind, casting)
        ):
            raise ModelError(
                f"{reader} gives {name} of shape {array.shape} and type {array.dtype}, which are "
                "not what cad_models.RawMesh says: mend or remove its package"
            )
        arrays[name] = array.astype(kind, copy=False)
    unit = raw.millimetres_per_unit
    if not isinstance(unit, int | float | None):
        raise ModelError(
            f"{reader} gives millimetres_per_unit {unit!r}, which is no number: mend or remove its "
            "package"
        )
    return replace(raw, **arrays)
