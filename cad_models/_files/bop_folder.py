"""Folders of models in BOP's layout: `obj_%06d.ply` and `models_info.json`.

Source: bop_toolkit, docs/bop_datasets_format.md, "3D object models". SIXD, which became BOP, and
DenseFusion's LINEMOD write `obj_%02d.ply` and a `models_info.yml` of diameters and boxes; those are
measured on the meshes instead.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cad_models._files import ply
from cad_models._model import CadModel, ContinuousSymmetry, ModelError, Symmetries
from cad_models._names import LINEMOD_IDS, name_from_file, spelling
from safe_files import numbers_of, parse_json, read_file, write_file

_MOST_BYTES = 64 * 2**20
"""Of `models_info.json`; that of the largest BOP dataset has 2 MB."""
_MOST_SYMMETRIES = 1000
"""Of one object, of either kind."""
_MOST_MM = 1e12
_FILE = re.compile(r"obj_(\d{1,9})\.ply")
_OTHER_MESH = re.compile(r"obj_\d+\.(glb|gltf|obj|stl|dae)")


@dataclass(frozen=True)
class FolderObject:
    """One object of a models folder, its mesh not yet read."""

    object_id: int
    path: Path
    name: str | None = None
    """The `name` of its entry in `models_info.json`; BOP has none, `write_models` writes it."""
    diameter: float | None = None
    """As `models_info.json` has it."""
    symmetries: Symmetries = field(default_factory=Symmetries)


def read_folder(folder: Path) -> dict[int, FolderObject]:
    """The objects of a folder by id, in ascending order.

    Raises:
        ModelError: no such folder, no models in it, or `models_info.json` is malformed.
    """
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise ModelError(
            f"`models` {folder} {problem}; give a folder with obj_000001.ply and so on"
        )
    paths = _mesh_files(folder)
    if not paths:
        raise ModelError(f"`models` {folder} holds no obj_*.ply; {_hint(folder)}")
    facts = _read_facts(folder / "models_info.json")
    objects = {
        object_id: _folder_object(object_id, path, facts.get(object_id, {}), folder)
        for object_id, path in paths.items()
    }
    _check_names_differ(objects, folder)
    return objects


def _mesh_files(folder: Path) -> dict[int, Path]:
    """By id; of two files of one id, the one that is named as BOP does."""
    files = [
        (int(match[1]), len(match[1]) != 6, path)
        for path in sorted(folder.iterdir())
        if (match := _FILE.fullmatch(path.name)) and int(match[1]) > 0
    ]
    files.sort(key=lambda file: (file[0], -file[1]))
    return {object_id: path for object_id, _, path in files}


def _hint(folder: Path) -> str:
    inner = sorted(path.parent for path in folder.glob("models*/obj_*.ply"))
    if inner:
        return f"did you mean {inner[0]}?"
    other_meshes = sorted(path for path in folder.iterdir() if _OTHER_MESH.fullmatch(path.name))
    if other_meshes:
        return f"give each mesh a name of its own, such as `objects` widget={other_meshes[0]}"
    return "BOP calls them obj_000001.ply and so on"


def missing_from(folder: Path, object_id: int) -> bool:
    """Whether `models_info.json` lists an object that has no mesh in the folder."""
    listed = _read_facts(folder / "models_info.json")
    return object_id in listed and object_id not in _mesh_files(folder)


def _read_facts(path: Path) -> dict[int, dict[str, Any]]:
    """`models_info.json` by object id, empty where there is none."""
    try:
        facts = parse_json(read_file(path, most=_MOST_BYTES, inside=path.parent))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}); correct or remove it"
        ) from None
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({error}); correct or remove it") from None
    if not isinstance(facts, dict):
        raise _malformed(path, "it must be an object with one entry for each object id")
    for key, entry in facts.items():
        if not (key.isascii() and key.isdecimal() and len(key) < 10):
            raise _malformed(path, f"the key {key[:40]!r} is not an object id")
        if not isinstance(entry, dict):
            raise _malformed(path, f"the entry of object {key} is not an object")
    return {int(key): entry for key, entry in facts.items()}


def _malformed(path: Path, problem: str) -> ModelError:
    return ModelError(f"{path} is malformed: {problem}; correct or remove it")


def _folder_object(object_id: int, path: Path, facts: dict[str, Any], folder: Path) -> FolderObject:
    source = folder / "models_info.json"
    name, diameter = facts.get("name"), facts.get("diameter")
    if name is not None and not isinstance(name, str):
        raise _malformed(source, f"the name of object {object_id} is not text")
    if diameter is not None:
        [diameter] = _numbers([diameter], 1, source, f"the diameter of object {object_id}")
        if diameter <= 0:
            raise _malformed(source, f"the diameter of object {object_id} is not above 0")
    return FolderObject(
        object_id=object_id,
        path=path,
        name=None if name is None else name_from_file(name),
        diameter=diameter,
        symmetries=_symmetries(object_id, facts, source),
    )


def _symmetries(object_id: int, facts: dict[str, Any], source: Path) -> Symmetries:
    listed = {key: facts.get(key, []) for key in ("symmetries_discrete", "symmetries_continuous")}
    for key, value in listed.items():
        if not isinstance(value, list):
            raise _malformed(source, f"{key} of object {object_id} is not a list")
        if len(value) > _MOST_SYMMETRIES:
            raise _malformed(source, f"{key} of object {object_id} has more than 1000 entries")
    discrete = [
        _rigid(_numbers(row, 16, source, f"a discrete symmetry of object {object_id}"), source)
        for row in listed["symmetries_discrete"]
    ]
    different = [matrix for matrix in discrete if not np.allclose(matrix, np.eye(4), atol=1e-6)]
    return Symmetries(
        discrete=np.array(different).reshape(-1, 4, 4),
        continuous=tuple(
            _axis(entry, object_id, source) for entry in listed["symmetries_continuous"]
        ),
    )


def _numbers(values: Any, count: int, source: Path, subject: str) -> list[float]:
    numbers = numbers_of(values, count, most=_MOST_MM)
    if numbers is None:
        raise _malformed(
            source, f"{subject} is not {count} finite number{'s' if count > 1 else ''}"
        )
    return numbers


def _rigid(values: list[float], source: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    matrix = np.array(values).reshape(4, 4)
    rotation = matrix[:3, :3]
    if (
        not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
        or np.linalg.det(rotation) < 0
        or not np.allclose(matrix[3], [0, 0, 0, 1], atol=1e-6)
    ):
        raise _malformed(
            source, "a discrete symmetry is not a rotation and translation, row by row"
        )
    return matrix


def _axis(entry: Any, object_id: int, source: Path) -> ContinuousSymmetry:
    owner = f"of a continuous symmetry of object {object_id}"
    if not isinstance(entry, dict):
        raise _malformed(source, f"a continuous symmetry of object {object_id} is not an object")
    axis = _numbers(entry.get("axis"), 3, source, f"the axis {owner}")
    offset = _numbers(entry.get("offset", [0, 0, 0]), 3, source, f"the offset {owner}")
    length = math.hypot(*axis)
    if length < 1e-9:
        raise _malformed(source, f"the axis {owner} has no length")
    if abs(length - 1) > 1e-6:
        axis = [value / length for value in axis]
    return ContinuousSymmetry((axis[0], axis[1], axis[2]), (offset[0], offset[1], offset[2]))


def _check_names_differ(objects: dict[int, FolderObject], folder: Path) -> None:
    owners: dict[str, int] = {}
    for entry in objects.values():
        if entry.name is not None:
            owner = owners.setdefault(spelling(entry.name), entry.object_id)
            if owner != entry.object_id:
                raise _malformed(
                    folder / "models_info.json",
                    f"objects {owner} and {entry.object_id} have the same name {entry.name!r}",
                )


def linemod_id(name: str) -> int | None:
    """The id of the LINEMOD object that goes by `name`, whatever its spelling."""
    return LINEMOD_IDS.get(spelling(name))


def write_models(models: Sequence[CadModel], folder: Path) -> None:
    """Write models as a BOP models folder, which `load_models` reads back as they are.

    Writes `obj_%06d.ply` (binary, with normals, colours and, where there is one, the texture as
    `obj_%06d.png`) and `models_info.json`. The same models give the same bytes.

    Convention:
        Millimetres. Discrete symmetries are 4x4 transforms, row by row.

    Raises:
        ModelError: two of the models have the same `object_id`.
        OSError: the folder cannot be written.
    """
    ids = [model.object_id for model in models]
    if len(set(ids)) < len(ids):
        raise ModelError(f"two models have the same object id, among {sorted(ids)}")
    folder.mkdir(parents=True, exist_ok=True)
    for model in models:
        ply.write(folder / f"obj_{model.object_id:06d}.ply", model.mesh)
    rows = [
        f'  "{model.object_id}": {json.dumps(_facts(model), sort_keys=True)}'
        for model in sorted(models, key=lambda model: model.object_id)
    ]
    write_file(folder / "models_info.json", "{\n" + ",\n".join(rows) + "\n}\n")


def _facts(model: CadModel) -> dict[str, Any]:
    low, high = model.bounds
    facts: dict[str, Any] = {"name": model.name, "diameter": model.diameter}
    for axis, least, size in zip("xyz", low.tolist(), (high - low).tolist(), strict=True):
        facts[f"min_{axis}"] = least
        facts[f"size_{axis}"] = size
    if len(model.symmetries.discrete):
        facts["symmetries_discrete"] = model.symmetries.discrete.reshape(-1, 16).tolist()
    if model.symmetries.continuous:
        facts["symmetries_continuous"] = [
            {"axis": list(symmetry.axis), "offset": list(symmetry.offset)}
            for symmetry in model.symmetries.continuous
        ]
    return facts
