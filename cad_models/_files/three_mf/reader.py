"""3MF: what 3-D printing writes, with the parts, colours and textures that its build shows.

Convention:
    Coordinates and axes stay as in the file. An object is known by its model file and its id. The
    build's items and all transforms between them and the meshes are applied; supports, and
    objects that the build does not show, are not there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cad_models._files.safe_xml import XmlError, read_elements
from cad_models._files.source import SourceFiles
from cad_models._files.textures import NamedTextures
from cad_models._files.three_mf.archive import Archive, ArchiveError
from cad_models._files.three_mf.model import (
    MOST_INSTANCES,
    Colors,
    Layers,
    ModelPart,
    Object,
    Reference,
    TextureCoordinates,
    too_often,
)
from cad_models._files.three_mf.slicer_volumes import triangles_left_out
from cad_models._mesh.atlas import by_texture, joined
from cad_models._mesh.checked import MAX_FACES, MAX_VERTICES, PLAIN_COLOR, RawMesh, too_many
from cad_models._mesh.placed import placed
from cad_models._model import ModelError

_START = "/3dmodel"
"""How the type of the relationship ends that names the root model file."""
_USUAL_ROOT = "3d/3dmodel.model"
_SHOWN = ("model", "surface")
_DEEPEST = 100
_SLICERS = (
    "metadata/model_settings.config", "metadata/slic3r_pe.config", "metadata/slic3r_pe_model.config"
)  # fmt: skip

Key = tuple[str, int]
"""A model file and an object in it."""


def read(files: SourceFiles) -> RawMesh:
    """The mesh of a 3MF file.

    Raises:
        ModelError: it cannot be read, requires an extension that we lack, or holds or shows more
            than can be rendered.
    """
    try:
        reader = _Reader(files)
        # Numbers that are too large, or none, are found where the mesh is checked.
        with np.errstate(over="ignore", invalid="ignore"):
            return replace(reader.mesh(), millimetres_per_unit=reader.millimetres)
    except (ArchiveError, XmlError, ValueError, KeyError, IndexError, OverflowError) as error:
        if isinstance(error, ModelError):
            raise
        reason = " ".join(str(error).split())[:120]
        raise ModelError(
            f"{files.path} cannot be read as 3MF ({reason}); export it again"
        ) from None


@dataclass(frozen=True)
class _Size:
    faces: int
    vertices: int
    instances: int


class _Reader:
    def __init__(self, files: SourceFiles) -> None:
        self._subject = str(files.path)
        self._archive = Archive(files)
        self._models: dict[str, ModelPart] = {}
        self._textures = NamedTextures(self._subject, self._archive.read)
        self._root = _root_of(self._archive)
        self._root_model = self._model(self._root)
        self._volumes = triangles_left_out(self._archive)
        self._notes: dict[str, None] = {}
        self.millimetres = self._root_model.millimetres

    def mesh(self) -> RawMesh:
        """All that the build shows, in the root model file's unit."""
        self._check_sizes()
        transforms: dict[Key, list[NDArray[np.float64]]] = defaultdict(list)
        for item in self._root_model.items:
            for key, transform in self._meshes(self._target(self._root, item), item.transform):
                transforms[key].append(transform)
        looks: dict[Key, list[RawMesh]] = {key: self._parts(key) for key in transforms}
        parts = by_texture(
            [
                placed(part, transforms[key])
                for key, parts_of_mesh in looks.items()
                for part in parts_of_mesh
            ]
        )
        if not parts:
            raise ModelError(
                f"{self._subject} has no triangles in what its build shows; export it as a surface"
            )
        return replace(joined(parts, self._subject), notes=tuple(self._all_notes(parts)))

    def _model(self, path: str) -> ModelPart:
        if path not in self._models:
            self._models[path] = ModelPart(self._archive.chunks(path), self._subject)
        return self._models[path]

    def _target(self, path: str, reference: Reference) -> Key:
        key = (_part_name(reference.path or path), reference.object_id)
        if key[1] not in self._model(key[0]).objects:
            raise XmlError(f"it shows object {key[1]} of {key[0][:60]}, which it does not have")
        return key

    def _object(self, key: Key) -> Object:
        return self._model(key[0]).objects[key[1]]

    def _check_sizes(self) -> None:
        """Refuse what is too much before memory is taken for it."""
        sizes: dict[Key, _Size] = {}
        item_sizes = [
            self._size(self._target(self._root, item), sizes, ()) for item in self._root_model.items
        ]
        faces, vertices = (
            sum(size.faces for size in item_sizes),
            sum(size.vertices for size in item_sizes),
        )
        if sum(size.instances for size in item_sizes) > MOST_INSTANCES:
            raise too_often(self._subject)
        if faces > MAX_FACES or vertices > MAX_VERTICES:
            raise too_many(self._subject, faces, vertices)

    def _size(self, key: Key, sizes: dict[Key, _Size], within: tuple[Key, ...]) -> _Size:
        if key in within or len(within) > _DEEPEST:
            raise ModelError(
                f"{self._subject} has an object that is part of itself, or parts more than "
                f"{_DEEPEST} levels deep; export it again"
            )
        if key not in sizes:
            object_ = self._object(key)
            faces, vertices, instances = len(object_.corners) // 3, len(object_.coordinates) // 3, 1
            for component in object_.components:
                inner = self._size(self._target(key[0], component), sizes, (*within, key))
                faces, vertices = faces + inner.faces, vertices + inner.vertices
                instances += inner.instances
            sizes[key] = _Size(faces, vertices, instances)
        return sizes[key]

    def _meshes(
        self, key: Key, transform: NDArray[np.float64]
    ) -> Iterator[tuple[Key, NDArray[np.float64]]]:
        """Every mesh of an object that is shown, and how it is placed."""
        object_ = self._object(key)
        if object_.corners and object_.kind in _SHOWN:
            yield key, transform
        for component in object_.components:
            target = self._target(key[0], component)
            unit = self._model(target[0]).millimetres / self._model(key[0]).millimetres
            inner = transform @ component.transform @ np.diag([unit, unit, unit, 1.0])
            yield from self._meshes(target, inner)

    def _parts(self, key: Key) -> list[RawMesh]:
        """An object's mesh, apart for each texture that it has."""
        object_ = self._object(key)
        vertices = np.array(object_.coordinates).reshape(-1, 3)
        faces = np.array(object_.corners).reshape(-1, 3)
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise ModelError(
                f"{self._subject} has faces that name vertices it does not have; export the mesh "
                "again"
            )
        groups, entries = _looks(object_)
        if key[0] == self._root and key[1] in self._volumes:
            is_kept = np.ones(len(faces), dtype=bool)
            for first, last in self._volumes[key[1]]:
                is_kept[first : last + 1] = False
            faces, groups, entries = faces[is_kept], groups[is_kept], entries[is_kept]
        plain = RawMesh(vertices, faces)
        if not len(faces) or (groups < 0).all():
            return [plain] if len(faces) else []
        return list(self._with_looks(plain, self._model(key[0]), groups, entries))

    def _with_looks(
        self,
        plain: RawMesh,
        model: ModelPart,
        groups: NDArray[np.int64],
        entries: NDArray[np.int64],
    ) -> Iterator[RawMesh]:
        colors = np.full((*entries.shape, 3), PLAIN_COLOR, dtype=np.uint8)
        flat = np.ones(len(groups), dtype=bool)
        for number in np.unique(groups[groups >= 0]).tolist():
            rows = np.flatnonzero(groups == number)
            group, corner_entries = _uppermost(model, number, entries[rows])
            if isinstance(group, Colors):
                palette = np.frombuffer(bytes(group.rgba), np.uint8).reshape(-1, 4)[:, :3]
                corner_entries = (
                    corner_entries if group.blend else np.repeat(corner_entries[:, :1], 3, axis=1)
                )
                rows, corner_entries = self._existing(rows, corner_entries, len(palette))
                colors[rows] = palette[corner_entries]
            elif isinstance(group, TextureCoordinates):
                points = np.array(group.uv).reshape(-1, 2)
                rows, corner_entries = self._existing(rows, corner_entries, len(points))
                if len(rows):
                    yield self._textured(plain, model, group.texture, rows, points[corner_entries])
                flat[rows] = False
            else:
                self._existing(rows, corner_entries, 0)
        if flat.any():
            yield _colored(replace(plain, faces=plain.faces[flat]), colors[flat])

    def _existing(
        self, rows: NDArray[np.int64], entries: NDArray[np.int64], count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        good = ((entries >= 0) & (entries < count)).all(axis=1)
        if not good.all():
            self._notes["triangles whose look the file does not hold are shown grey"] = None
        return rows[good], entries[good]

    def _textured(
        self,
        plain: RawMesh,
        model: ModelPart,
        number: int,
        rows: NDArray[np.int64],
        points: NDArray[np.float64],
    ) -> RawMesh:
        texture = model.textures.get(number)
        if texture is None:
            raise XmlError(f"it names texture {number}, which it does not have")
        if not texture.tiles and (points.min() < 0 or points.max() > 1):
            self._notes["textures that do not repeat are repeated beyond their borders"] = None
        corners = plain.faces[rows].reshape(-1)
        apart = plain.select(corners, np.arange(len(corners)).reshape(-1, 3))
        coordinates, picture = points.reshape(-1, 2), self._textures[_part_name(texture.path)]
        return replace(apart, texture_coordinates=coordinates, texture=picture)

    def _all_notes(self, parts: Iterable[RawMesh]) -> Iterator[str]:
        notes = dict.fromkeys(note for model in self._models.values() for note in model.notes)
        notes |= self._notes
        if self._textures.let_light_through:
            notes["textures that let light through are shown opaque"] = None
        bare = all(part.colors is None and part.texture is None for part in parts)
        if bare and any(name in self._archive for name in _SLICERS):
            notes["colours of the slicer's filaments are left out"] = None
        return (f"{self._subject}: {note}" for note in notes)


def _root_of(archive: Archive) -> str:
    """The name of the archive's root model file."""
    targets: list[str] = []

    def find(name: str, attributes: dict[str, str]) -> None:
        if name.endswith("Relationship") and attributes.get("Type", "").endswith(_START):
            targets.append(attributes.get("Target", ""))

    if "_rels/.rels" in archive:
        read_elements(archive.chunks("_rels/.rels"), find)
    model_names = sorted(name for name in archive.names() if name.endswith(".model"))
    for name in (*targets, _USUAL_ROOT, *model_names):
        if name in archive:
            return _part_name(name)
    raise ArchiveError("it has no model file")


def _part_name(name: str) -> str:
    return name.lstrip("/").lower()


def _looks(object_: Object) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(F,) the group of each triangle's look or -1, and (F, 3) its entries at the corners."""
    count = len(object_.corners) // 3
    looks = np.full((count, 4), -1, dtype=np.int64)
    stated = np.array(object_.looks, dtype=np.int64).reshape(-1, 4)
    looks[: len(stated)] = stated
    has_look = looks[:, 1] >= 0
    groups = np.where(has_look & (looks[:, 0] >= 0), looks[:, 0], object_.group)
    first = np.where(has_look, looks[:, 1], object_.index)
    other_corners = np.where(has_look[:, None] & (looks[:, 2:] >= 0), looks[:, 2:], first[:, None])
    return groups, np.column_stack([first, other_corners])


def _uppermost(
    model: ModelPart, number: int, entries: NDArray[np.int64]
) -> tuple[Colors | TextureCoordinates | None, NDArray[np.int64]]:
    """The group that is seen, and its entries in place of the given ones."""
    group = model.groups.get(number)
    if not isinstance(group, Layers):
        return group, entries
    table = np.array([*group.entries, -1], dtype=np.int64)
    inside = (entries >= 0) & (entries < len(group.entries))
    uppermost = model.groups.get(group.group)
    if isinstance(uppermost, Layers):
        return None, entries
    return uppermost, table[np.where(inside, entries, -1)]


def _colored(part: RawMesh, colors: NDArray[np.uint8]) -> RawMesh:
    """A part with a colour, (F, 3, 3), in each corner of its faces."""
    if (colors == colors[0, 0]).all():
        return replace(part, colors=np.tile(colors[0, 0], (len(part.vertices), 1)))
    apart = part.select(part.faces.reshape(-1), np.arange(part.faces.size).reshape(-1, 3))
    return replace(apart, colors=colors.reshape(-1, 3))
