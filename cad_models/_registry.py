"""Which objects there are: built in, in a BOP models folder, or in mesh files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cad_models._files import ply
from cad_models._files.bop_folder import FolderObject, linemod_id, missing_from, read_folder
from cad_models._files.registry import read_mesh
from cad_models._files.source import SourceFiles
from cad_models._mesh.checked import RawMesh, checked, finished, largest_distance
from cad_models._model import CadModel, ContinuousSymmetry, ModelError, Symmetries, WrongObjects
from cad_models._names import (
    LINEMOD_DIAMETERS,
    LINEMOD_IDS,
    check_name,
    name_from_file,
    spelling,
    unknown_name,
)
from cad_models._units import MILLIMETRES, WORDS, check_units, millimetres_per_unit, scale_of

BUILT_IN = Path(__file__).parent / "builtin"
_FIRST_FILE_ID = 101
_LINEMOD_TOLERANCE = 0.03
_DIAMETER_TOLERANCE = 0.05
_LINEMOD_NAMES = {id_: name for name, id_ in LINEMOD_IDS.items()}


@dataclass(frozen=True)
class ModelSummary:
    """What `render-adapt models list` says of one object."""

    name: str
    object_id: int
    diameter: float
    """Millimetres."""
    faces: int
    """In the file."""
    symmetric: bool
    origin: str


def load_models(
    objects: Sequence[str], *, models: Path | None = None, units: str | None = None
) -> list[CadModel]:
    """Load the objects of a run, in the order given.

    Each entry is a name (`ape`) or `NAME=FILE` (`widget=part.stl`, a file of any kind in `SOURCES`:
    STL, PLY, OBJ, OFF, GLB, glTF, 3MF, COLLADA, STEP, and what installed packages read). Without
    `models`, names are those of the built-in models. With it, they are of the objects in that
    folder: an id (`5`), `obj_000005`, the `name` in `models_info.json`, or a LINEMOD name where the
    object of that id has LINEMOD's diameter. Spelling is taken lightly (`Bench_Vise`,
    `benchviseblue`); the loaded model has the plain name.

    Mesh files get the ids 101, 102, ... in their order, or further ones where the run's other
    objects have ids above 100.

    Args:
        objects: names and `NAME=FILE` entries.
        models: a folder in BOP's layout.
        units: the unit of the mesh files: `m`, `cm`, `mm` or `in`. Where no entry is a mesh file,
            the unit of the models folder. None takes the unit that the format states (glTF: metres;
            3MF, COLLADA and STEP: written in the file) or else millimetres, and refuses objects
            under 5 mm or over 2 m.

    Convention:
        Millimetres. Axes and origin stay as in the file: poses are those of the file's own
        coordinates, scaled.

    Raises:
        ModelError: an object is not known or not usable; one sentence with what to do.
        MissingDependency: a file is of a kind whose reader is not installed.
        WrongValue: `units` is none of these.
    """
    check_units(units)
    entries = [_parse_entry(entry) for entry in objects]
    if not entries:
        raise WrongObjects("`objects` is empty; name at least one object, such as `objects` ape")
    has_files = any(path is not None for _, path in entries)
    folder: dict[int, FolderObject] = {}
    if any(path is None for _, path in entries):
        folder = read_folder(BUILT_IN if models is None else models)
    loaded: dict[int, CadModel] = {}
    for index, (name, path) in enumerate(entries):
        if path is None:
            entry = _find(name, folder, models)
            model = _load_from_folder(entry, models, None if has_files else units)
            if entry.name is None and linemod_id(name) == entry.object_id:
                _check_is_linemod(model, name, entry)
            loaded[index] = model
    next_id = max([_FIRST_FILE_ID - 1, *(model.object_id for model in loaded.values())]) + 1
    for index, (name, path) in enumerate(entries):
        if path is not None:
            loaded[index] = _load_file(name, path, next_id, units)
            next_id += 1
    ordered = [loaded[index] for index in range(len(entries))]
    _check_names_differ(ordered)
    return ordered


def model_from_arrays(
    name: str,
    object_id: int,
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    *,
    normals: NDArray[np.floating] | None = None,
    colors: NDArray[np.uint8] | None = None,
    origin: str,
) -> CadModel:
    """A model of a mesh that another program holds.

    Convention:
        Millimetres. Faces wind counter-clockwise seen from outside.

    Args:
        name: what the program calls it; it is made fit for file names.
        object_id: BOP's.
        vertices: (V, 3).
        faces: (F, 3).
        normals: (V, 3), unit, outward; computed where there are none.
        colors: (V, 3), RGB.
        origin: where it came from, as in `CadModel`.

    Raises:
        ModelError: nothing of the name is fit for file names, or the mesh cannot be rendered.
    """
    fit = name_from_file(name)
    if fit is None:
        raise ModelError(f"{name!r} has no letter or digit: give the object another name")
    raw = checked(
        RawMesh(
            vertices.astype(np.float64),
            faces.astype(np.int64),
            None if normals is None else normals.astype(np.float64),
            colors,
        ),
        name,
    )
    mesh = finished(raw, scale_of(raw.vertices, name, "mm"), name)
    digest = hashlib.sha256()
    for array in (mesh.vertices, mesh.faces, mesh.normals, mesh.colors):
        digest.update(array.tobytes())
    return CadModel(
        name=fit,
        object_id=object_id,
        mesh=mesh,
        diameter=largest_distance(mesh.vertices),
        symmetries=Symmetries(),
        origin=origin,
        sha256=digest.hexdigest(),
    )


def available_models(models: Path | None = None, units: str | None = None) -> list[ModelSummary]:
    """What can be named in `objects`, by id: the built-in models, or those of a BOP folder.

    Args:
        models: a folder in BOP's layout.
        units: the folder's unit, as in `load_models`.

    Raises:
        ModelError: as `load_models`.
    """
    check_units(units)
    return [
        _summary(entry, models, units)
        for entry in read_folder(BUILT_IN if models is None else models).values()
    ]


def _parse_entry(entry: str) -> tuple[str, Path | None]:
    name, equals, file = (part.strip() for part in entry.partition("="))
    if not name and not equals:
        raise WrongObjects("`objects` has an empty name; separate names by single commas")
    if equals and not (name and file):
        raise WrongObjects(f"`objects` {entry}: write NAME=FILE, such as widget=part.stl")
    if equals:
        check_name(name, entry)
        return name, Path(file).expanduser()
    if "/" in name or "\\" in name or Path(name).suffix:
        raise WrongObjects(
            f"`objects` {entry}: not a name; for a mesh file write NAME=FILE, such as widget={name}"
        )
    return name, None


def _find(name: str, folder: dict[int, FolderObject], models: Path | None) -> FolderObject:
    """The object that `name` means."""
    spelled = spelling(name)
    if id_ := re.fullmatch(r"(?:obj)?0*([1-9]\d{0,8})", spelled):
        entry = folder.get(int(id_[1]))
    else:
        by_name = {spelling(entry.name): entry for entry in folder.values() if entry.name}
        entry = by_name.get(spelled)
    linemod = linemod_id(name)
    if entry is None and linemod in folder and folder[linemod].name is None:
        entry = folder[linemod]
    if entry is not None:
        return entry
    if models is not None and linemod is not None and missing_from(models, linemod):
        raise ModelError(
            f"`objects` {name}: {models} has no obj_{linemod:06d}.ply; choose another object or "
            "add the file"
        )
    where = "the built-in models" if models is None else f"the objects of `models` {models}"
    raise unknown_name(name, [_known_as(entry) for entry in folder.values()], where)


def _known_as(entry: FolderObject) -> str:
    """The name of an object whose mesh need not be read."""
    if entry.name is not None:
        return entry.name
    if entry.diameter is not None and _is_linemod(entry.object_id, entry.diameter):
        return _LINEMOD_NAMES[entry.object_id]
    return f"obj_{entry.object_id:06d}"


def _is_linemod(object_id: int, diameter: float) -> bool:
    expected = LINEMOD_DIAMETERS.get(object_id)
    return expected is not None and abs(diameter / expected - 1) <= _LINEMOD_TOLERANCE


def _check_is_linemod(model: CadModel, name: str, entry: FolderObject) -> None:
    if not _is_linemod(model.object_id, model.diameter):
        raise ModelError(
            f"`objects` {name}: {entry.path} is {model.diameter:.1f} mm across and LINEMOD's "
            f"{_LINEMOD_NAMES[model.object_id]} {LINEMOD_DIAMETERS[model.object_id]:.1f} mm, so it "
            f"is another object; call it {entry.path.stem} if you mean it"
        )


def _load_from_folder(entry: FolderObject, models: Path | None, units: str | None) -> CadModel:
    files = SourceFiles(entry.path, entry.path.parent)
    raw = read_mesh(files)
    scale, diameter = 1.0, entry.diameter
    if models is not None:
        if diameter is not None:
            _check_diameter(diameter, largest_distance(raw.vertices), entry)
        scale = scale_of(raw.vertices, str(entry.path), units, raw.millimetres_per_unit)
    mesh = finished(raw, scale, str(entry.path))
    diameter = largest_distance(mesh.vertices) if diameter is None else diameter * scale
    return CadModel(
        name=_known_as(replace(entry, diameter=diameter)),
        object_id=entry.object_id,
        mesh=mesh,
        diameter=diameter,
        symmetries=_scaled(entry.symmetries, scale),
        origin="built-in" if models is None else entry.path.name,
        sha256=files.sha256,
        notes=raw.notes,
    )


def _check_diameter(diameter: float, extent: float, entry: FolderObject) -> None:
    if abs(diameter / extent - 1) <= _DIAMETER_TOLERANCE:
        return
    advice = "correct the diameter there or take the mesh that it was measured on"
    for unit, factor in MILLIMETRES.items():
        for ratio, quantity in ((factor, "mesh"), (1 / factor, "diameter")):
            if factor != 1 and abs(diameter / (extent * ratio) - 1) <= _DIAMETER_TOLERANCE:
                advice = f"the {quantity} is probably in {WORDS[unit]}: bring both to one unit"
    raise ModelError(
        f"{entry.path} is {extent:.6g} across but models_info.json says {diameter:.6g}; {advice}"
    )


def _load_file(name: str, path: Path, object_id: int, units: str | None) -> CadModel:
    files = SourceFiles(path)
    raw = read_mesh(files)
    scale = scale_of(raw.vertices, str(path), units, raw.millimetres_per_unit)
    mesh = finished(raw, scale, str(path))
    return CadModel(
        name=name,
        object_id=object_id,
        mesh=mesh,
        diameter=largest_distance(mesh.vertices),
        symmetries=Symmetries(),
        origin=path.name,
        sha256=files.sha256,
        notes=raw.notes,
    )


def _scaled(symmetries: Symmetries, scale: float) -> Symmetries:
    discrete = symmetries.discrete.copy()
    discrete[:, :3, 3] *= scale
    continuous = tuple(
        ContinuousSymmetry(
            entry.axis,
            (entry.offset[0] * scale, entry.offset[1] * scale, entry.offset[2] * scale),
        )
        for entry in symmetries.continuous
    )
    return Symmetries(discrete, continuous)


def _summary(entry: FolderObject, models: Path | None, units: str | None) -> ModelSummary:
    faces = ply.face_count(SourceFiles(entry.path, entry.path.parent))
    if faces is None or entry.diameter is None:
        model = _load_from_folder(entry, models, units)
        name, diameter, faces = model.name, model.diameter, len(model.mesh.faces)
    else:
        scale = 1.0
        if models is not None:
            scale = millimetres_per_unit(entry.diameter, str(entry.path), units)
        diameter = entry.diameter * scale
        name = _known_as(replace(entry, diameter=diameter))
    return ModelSummary(
        name=name,
        object_id=entry.object_id,
        diameter=diameter,
        faces=faces,
        symmetric=bool(len(entry.symmetries.discrete) or entry.symmetries.continuous),
        origin="built-in" if models is None else entry.path.name,
    )


def _check_names_differ(models: Sequence[CadModel]) -> None:
    name_of: dict[str, str] = {}
    for model in models:
        if model.name.casefold() in name_of:
            raise WrongObjects(
                f"`objects` names {model.name} twice; give each object once and each file a name "
                "of its own"
            )
        name_of[model.name.casefold()] = model.name
