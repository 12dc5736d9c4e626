"""One model file of a 3MF archive: its objects, looks and build, as they are written."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cad_models._files.safe_xml import XmlError, read_elements
from cad_models._mesh.checked import MAX_FACES, MAX_VERTICES, PLAIN_COLOR, too_many
from cad_models._model import ModelError

MILLIMETRES = {
    "micron": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "inch": 25.4, "foot": 304.8,
    "meter": 1000.0,
}  # fmt: skip
MOST_INSTANCES = 10_000
"""Of objects in other objects and in the build."""
_MOST_RESOURCES = 100_000
_LONGEST_LIST = 10_000
"""Characters."""

_MICROSOFT = "http://schemas.microsoft.com/3dmanufacturing/"
_PRODUCTION = f"{_MICROSOFT}production/2015/06"
_MATERIAL = f"{_MICROSOFT}material/2015/02"
_LEFT_OUT = {
    f"{_MICROSOFT}beamlattice/2017/02 beamlattice": "the beams of lattices are left out",
    f"{_MICROSOFT}slice/2015/07 slicestack": "slices are left out and meshes shown",
    "http://schemas.3mf.io/3dmanufacturing/booleans/2023/07 booleanshape": (
        "objects cut out of others are left out"
    ),
    f"{_MICROSOFT}displacement/2022/07 displacementmesh": "displaced meshes are left out",
    "http://schemas.3mf.io/3dmanufacturing/displacement/2023/10 displacementmesh": (
        "displaced meshes are left out"
    ),
    "http://schemas.3mf.io/3dmanufacturing/volumetric/2022/01 levelset": (
        "shapes given by functions are left out"
    ),
}
_READ = {
    _PRODUCTION, _MATERIAL, f"{_MICROSOFT}core/2015/02", f"{_MICROSOFT}trianglesets/2021/07",
}  # fmt: skip
"""Triangle sets only name triangles, for editors."""
_PAINT = ("paint_color", "mmu_segmentation")
_GREY = bytes((PLAIN_COLOR, PLAIN_COLOR, PLAIN_COLOR, 255))
_NO_LOOK = (-1, -1, -1, -1)


@dataclass(frozen=True)
class Reference:
    """An object shown within another one, or in the build."""

    path: str | None
    """The model file that has it, where it is another one."""
    object_id: int
    transform: NDArray[np.float64]
    """(4, 4), of columns, in this model file's unit."""


@dataclass
class Object:
    """A mesh, or an assembly of other objects."""

    kind: str
    group: int
    """The group of its look where a triangle says nothing else, or -1."""
    index: int
    coordinates: array[float] = field(default_factory=lambda: array("d"))
    """x, y and z of each vertex."""
    corners: array[int] = field(default_factory=lambda: array("q"))
    """Three vertices of each triangle."""
    looks: array[int] = field(default_factory=lambda: array("q"))
    """A group and three of its entries for each triangle, -1 where not given; empty where no
    triangle has any."""
    components: list[Reference] = field(default_factory=list)


@dataclass
class Colors:
    """Colours that looks refer to by number."""

    blend: bool
    """Whether a triangle may have another one in each of its corners."""
    rgba: bytearray = field(default_factory=bytearray)


@dataclass
class TextureCoordinates:
    """Points of one texture."""

    texture: int
    uv: array[float] = field(default_factory=lambda: array("d"))


@dataclass
class Layers:
    """Entries of another group, which covers those below it."""

    group: int
    entries: array[int] = field(default_factory=lambda: array("q"))


@dataclass(frozen=True)
class Texture:
    """A picture in the archive."""

    path: str
    tiles: bool
    """Whether it is repeated beyond its borders, both ways."""


Group = Colors | TextureCoordinates | Layers


class ModelPart:
    """What a model file holds."""

    def __init__(self, chunks: Iterable[bytes], subject: str) -> None:
        """Read the model file.

        Raises:
            XmlError, KeyError, ValueError, OverflowError: it is malformed.
            ModelError: it holds too much, or requires an extension that is not read. The message
                begins with `subject`.
        """
        self.millimetres = 1.0
        self.objects: dict[int, Object] = {}
        self.groups: dict[int, Group] = {}
        self.textures: dict[int, Texture] = {}
        self.items: list[Reference] = []
        self.notes: dict[str, None] = {}
        """In the order in which their reasons were met."""
        self._subject = subject
        self._references = self._vertices = self._faces = self._entries = 0
        self._prefixes: dict[str | None, str] = {}
        self._object: Object | None = None
        self._group: Group | None = None
        self._mixed = np.empty((0, 4))
        self._layers = 0
        self._handlers: dict[str, Callable[[dict[str, str]], None]] = {}
        read_elements(chunks, self._start, self._declare)

    def _declare(self, prefix: str | None, namespace: str) -> None:
        self._prefixes.setdefault(prefix, namespace)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if (handler := self._handlers.get(name)) is not None:
            handler(attributes)
        elif not self._handlers:
            self._start_model(name, attributes)
        elif (left_out := _LEFT_OUT.get(name)) is not None:
            self.notes[left_out] = None

    def _start_model(self, name: str, attributes: dict[str, str]) -> None:
        namespace, separator, local = name.rpartition(" ")
        if local != "model":
            raise XmlError(f"its model file begins with {local[:60]!r}")
        self._check_extensions(attributes.get("requiredextensions", ""))
        self.millimetres = MILLIMETRES[attributes.get("unit", "millimeter").strip().lower()]
        core = {
            "object": self._start_object, "vertex": self._add_vertex,
            "triangle": self._add_triangle, "component": self._add_component,
            "item": self._add_item, "basematerials": self._start_materials,
            "base": self._add_material,
        }  # fmt: skip
        materials = {
            "colorgroup": self._start_colors, "color": self._add_color,
            "texture2d": self._add_texture, "texture2dgroup": self._start_coordinates,
            "tex2coord": self._add_coordinates, "compositematerials": self._start_mixtures,
            "composite": self._add_mixture, "multiproperties": self._start_layers,
            "multi": self._add_layers,
        }  # fmt: skip
        # Some writers leave the prefix off within elements of the extension.
        either = {**core, **materials}
        self._handlers = {f"{namespace}{separator}{key}": call for key, call in either.items()}
        self._handlers |= {f"{_MATERIAL} {key}": call for key, call in materials.items()}

    def _check_extensions(self, required: str) -> None:
        for prefix in required.split():
            namespace = self._prefixes.get(prefix, prefix)
            if namespace not in _READ:
                raise ModelError(
                    f"{self._subject} requires the 3MF extension {namespace[:120]}, which cannot "
                    "be read; export it as a plain mesh"
                )

    def _start_object(self, attributes: dict[str, str]) -> None:
        group, index = int(attributes.get("pid", -1)), int(attributes.get("pindex", 0))
        self._object = Object(attributes.get("type", "model"), group, index)
        # Of two with one id, which the format forbids, the first counts.
        self.objects.setdefault(int(attributes["id"]), self._object)
        self._count_resources()

    def _count_resources(self) -> None:
        if len(self.objects) + len(self.groups) + len(self.textures) > _MOST_RESOURCES:
            raise ModelError(
                f"{self._subject} has more than {_MOST_RESOURCES} objects and looks; "
                "simplify it first"
            )

    def _count_entries(self) -> None:
        self._entries += 1
        if self._entries > MAX_VERTICES:
            raise ModelError(
                f"{self._subject} has more than {MAX_VERTICES} colours; simplify it first"
            )

    def _shown(self) -> Object:
        if self._object is None:
            raise XmlError("part of a mesh outside an object")
        return self._object

    def _add_vertex(self, attributes: dict[str, str]) -> None:
        self._vertices += 1
        if self._vertices > MAX_VERTICES:
            raise too_many(self._subject, self._faces, self._vertices)
        self._shown().coordinates.extend(
            (float(attributes["x"]), float(attributes["y"]), float(attributes["z"]))
        )

    def _add_triangle(self, attributes: dict[str, str]) -> None:
        self._faces += 1
        if self._faces > MAX_FACES:
            raise too_many(self._subject, self._faces, self._vertices)
        object_ = self._shown()
        object_.corners.extend(
            (int(attributes["v1"]), int(attributes["v2"]), int(attributes["v3"]))
        )
        if len(attributes) > 3:
            self._add_look(object_, attributes)
        elif object_.looks:
            object_.looks.extend(_NO_LOOK)

    def _add_look(self, object_: Object, attributes: dict[str, str]) -> None:
        look = tuple(int(attributes.get(key, -1)) for key in ("pid", "p1", "p2", "p3"))
        if len(attributes) - 3 > sum(number != -1 for number in look):
            self._note_paint(attributes)
        if not object_.looks:
            object_.looks.extend(_NO_LOOK * (len(object_.corners) // 3 - 1))
        object_.looks.extend(look)

    def _note_paint(self, attributes: dict[str, str]) -> None:
        if any(name.endswith(_PAINT) for name in attributes):
            self.notes["colours painted on in a slicer are left out"] = None

    def _reference(self, attributes: dict[str, str]) -> Reference:
        self._references += 1
        if self._references > MOST_INSTANCES:
            raise too_often(self._subject)
        return Reference(
            attributes.get(f"{_PRODUCTION} path"),
            int(attributes["objectid"]),
            _matrix(attributes.get("transform", "")),
        )

    def _add_component(self, attributes: dict[str, str]) -> None:
        self._shown().components.append(self._reference(attributes))

    def _add_item(self, attributes: dict[str, str]) -> None:
        self.items.append(self._reference(attributes))

    def _start_group(self, attributes: dict[str, str], group: Group) -> None:
        self._count_resources()
        self._group = self.groups.setdefault(int(attributes["id"]), group)

    def _start_materials(self, attributes: dict[str, str]) -> None:
        self._start_group(attributes, Colors(blend=False))

    def _start_colors(self, attributes: dict[str, str]) -> None:
        self._start_group(attributes, Colors(blend=True))

    def _start_coordinates(self, attributes: dict[str, str]) -> None:
        self._start_group(attributes, TextureCoordinates(int(attributes["texid"])))

    def _start_mixtures(self, attributes: dict[str, str]) -> None:
        materials = self.groups.get(int(attributes["matid"]))
        rgba = materials.rgba if isinstance(materials, Colors) else b""
        palette = np.frombuffer(bytes(rgba), np.uint8).reshape(-1, 4)
        self._mixed = palette[_integers(attributes["matindices"])].astype(np.float64)
        self._start_group(attributes, Colors(blend=False))
        self.notes["mixed materials are shown in the mean of their colours"] = None

    def _start_layers(self, attributes: dict[str, str]) -> None:
        groups = _integers(attributes["pids"])
        self._layers = len(groups)
        self._start_group(attributes, Layers(groups[-1]))
        self.notes["of looks laid over each other only the uppermost is shown"] = None

    def _add_material(self, attributes: dict[str, str]) -> None:
        self._add_rgba(attributes.get("displaycolor", ""))

    def _add_color(self, attributes: dict[str, str]) -> None:
        self._add_rgba(attributes.get("color", ""))

    def _add_rgba(self, text: str) -> None:
        self._count_entries()
        if not isinstance(self._group, Colors):
            raise XmlError("a colour outside a group of colours")
        rgba = _rgba(text)
        if rgba is None:
            self.notes["colours that are not written as #RRGGBB are shown grey"] = None
            rgba = _GREY
        elif rgba[3] < 255:
            self.notes["colours that let light through are shown opaque"] = None
        self._group.rgba += rgba

    def _add_texture(self, attributes: dict[str, str]) -> None:
        self._count_resources()
        styles = [attributes.get(key, "wrap") for key in ("tilestyleu", "tilestylev")]
        texture = Texture(attributes["path"], styles == ["wrap", "wrap"])
        self.textures.setdefault(int(attributes["id"]), texture)

    def _add_coordinates(self, attributes: dict[str, str]) -> None:
        self._count_entries()
        if not isinstance(self._group, TextureCoordinates):
            raise XmlError("texture coordinates outside a group of them")
        self._group.uv.extend((float(attributes["u"]), float(attributes["v"])))

    def _add_mixture(self, attributes: dict[str, str]) -> None:
        self._count_entries()
        if not isinstance(self._group, Colors):
            raise XmlError("a mixture outside a group of them")
        shares = np.zeros(len(self._mixed))
        stated = np.array(_words(attributes["values"]), dtype=np.float64)[: len(shares)]
        shares[: len(stated)] = stated
        if not 0 < shares.sum() < np.inf or shares.min() < 0:
            raise XmlError("a mixture of nothing")
        mean = np.rint(shares @ self._mixed / shares.sum())
        self._group.rgba += mean.astype(np.uint8).tobytes()

    def _add_layers(self, attributes: dict[str, str]) -> None:
        self._count_entries()
        if not isinstance(self._group, Layers):
            raise XmlError("layers outside a group of them")
        entries = _integers(attributes["pindices"])
        self._group.entries.append(entries[self._layers - 1] if len(entries) >= self._layers else 0)


def too_often(subject: str) -> ModelError:
    """The error for an archive that shows its parts without end."""
    return ModelError(
        f"{subject} shows its parts more than {MOST_INSTANCES} times; simplify it first"
    )


def _rgba(text: str) -> bytes | None:
    text = text.strip()
    if not text.startswith("#") or len(text) not in (7, 9):
        return None
    try:
        return bytes.fromhex(text[1:].ljust(8, "f"))
    except ValueError:
        return None


def _words(text: str) -> list[str]:
    if len(text) > _LONGEST_LIST:
        raise XmlError(f"a list of more than {_LONGEST_LIST} characters")
    return text.split()


def _integers(text: str) -> list[int]:
    return [int(word) for word in _words(text)]


def _matrix(text: str) -> NDArray[np.float64]:
    matrix = np.eye(4)
    if text.strip():
        matrix[:3] = np.array(_words(text), dtype=np.float64).reshape(4, 3).T
    return matrix
