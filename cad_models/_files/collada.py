"""COLLADA (.dae), which ROS packages and SketchUp ship, parsed with pycollada.

Convention:
    Coordinates and axes stay as in the file: `<up_axis>` turns nothing, as in RViz and Gazebo, so
    that poses are those of the link that shows the mesh. Transforms of the scene's nodes are
    applied. Colours are sRGB.
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from cad_models._files.safe_xml import XmlError, read_elements
from cad_models._files.source import SourceFiles
from cad_models._files.textures import NamedTextures
from cad_models._mesh.atlas import by_texture, joined
from cad_models._mesh.checked import MAX_FACES, RawMesh, too_many
from cad_models._mesh.placed import placed
from cad_models._model import ModelError
from checked_settings import MissingDependency

_MOST_INSTANCES = 10_000
_DEEPEST = 100
_MOST_TRIES = 2_000_000
"""Nodes of the library times those that show others, each of which may have to wait for another."""
_MOST_ELEMENTS = 300_000
"""But for a polygon's each, which pycollada makes an object of."""
_LONGEST_LIST = 20_000
"""Characters."""
_LISTS = {
    "Name_array", "IDREF_array", "bind_shape_matrix", "color", "float", "float2", "float3",
    "float4", "init_from", "lookat", "matrix", "rotate", "scale", "translate",
}  # fmt: skip
"""What pycollada takes apart word by word."""


def read(files: SourceFiles) -> RawMesh:
    """The mesh of a COLLADA file.

    Raises:
        MissingDependency: the parser is not installed.
        ModelError: the file cannot be read, shows more than can be
            rendered, or names a texture that is missing or not a picture.
    """
    # Blender's Python has none.
    if importlib.util.find_spec("collada") is None:
        raise MissingDependency(
            f"{files.path}, a COLLADA file,",
            "pycollada",
            "pycollada, or export the mesh as PLY or GLB",
        )
    try:
        _check(files)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # numpy's, of numbers that are none; it would go on with those before them.
            warnings.filterwarnings("error", message="string or file could not be read")
            document = _parsed(files.content)
        reader = _Reader(files, document)
        # Numbers that are too large, or none, are found where the mesh is checked.
        with np.errstate(over="ignore", invalid="ignore"):
            return replace(reader.mesh(), millimetres_per_unit=reader.millimetres)
    except ModelError:
        raise
    # pycollada raises whatever its parsing runs into: its own DaeError, ValueError, KeyError,
    # TypeError, AttributeError, IndexError, RecursionError. All mean that the file is bad.
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ModelError(
            f"{files.path} cannot be read as COLLADA ({reason}); export it again"
        ) from error


def _parsed(content: bytes) -> Any:
    import collada

    # What cannot be read is told of in a note. Textures are opened by us.
    options = {"ignore": [collada.DaeError], "aux_file_loader": lambda _: b""}
    document = collada.Collada(io.BytesIO(content), **options)
    errors = document.errors
    if errors and (without := _without_broken_materials(document)) is not None:
        document = collada.Collada(io.BytesIO(without), **options)
        document.errors[:0] = errors[:1]
    return document


def _without_broken_materials(document: Any) -> bytes | None:
    """The file without the uses of materials that cannot be read, for pycollada leaves out what
    is made of them; None where there are none."""
    tag = document.tag
    broken = [
        (parent, use)
        for parent in document.xmlnode.iter(tag("technique_common"))
        for use in parent.findall(tag("instance_material"))
        if use.get("target", "#")[1:] not in document.materials
    ]
    for parent, use in broken:
        parent.remove(use)
    output = io.BytesIO()
    document.xmlnode.write(output)
    return output.getvalue() if broken else None


def _check(files: SourceFiles) -> None:
    """Refuse what would have pycollada take all memory or time."""
    last, length, is_root, in_library = "", 0, True, False
    elements = nodes = instances = 0

    def start(name: str, _: dict[str, str]) -> None:
        nonlocal last, length, is_root, in_library, elements, nodes, instances
        last, length = name.rpartition(" ")[2], 0
        if is_root and last != "COLLADA":
            raise XmlError(f"it begins with {last[:60]!r}")
        is_root, elements = False, elements + (last != "p")
        if elements > _MOST_ELEMENTS:
            raise ModelError(
                f"{files.path} has more than {_MOST_ELEMENTS} XML elements; simplify it first"
            )
        if last.startswith("library_"):
            in_library = last == "library_nodes"
        elif in_library:
            nodes, instances = nodes + 1, instances + (last == "instance_node")

    def text(words: str) -> None:
        nonlocal length
        length += len(words)
        if last in _LISTS and length > _LONGEST_LIST:
            raise XmlError(f"<{last}> holds more than {_LONGEST_LIST} characters")

    read_elements([files.content], start, on_text=text)
    if nodes * instances > _MOST_TRIES:
        raise ModelError(f"{files.path} has too many nodes that show others; simplify it first")


@dataclass(frozen=True)
class _Size:
    faces: int
    instances: int


@dataclass(frozen=True)
class _Shown:
    """A geometry with the materials that an instance of it gives to its parts."""

    geometry: Any
    materials: dict[str, Any]


class _Reader:
    def __init__(self, files: SourceFiles, document: Any) -> None:
        self._subject = str(files.path)
        self._document = document
        # Of an URI in a ROS package the end counts, as of all names of files.
        self._textures = NamedTextures(
            self._subject, lambda name: files.named(unquote(name.rpartition("://")[2]))
        )
        self._notes: dict[str, None] = {}
        unit = document.assetInfo.unitmeter if document.assetInfo else None
        self.millimetres = 1000.0 * (1.0 if unit is None else unit)
        if not 0 < self.millimetres < np.inf:
            raise XmlError(f"its unit is {unit} metres")

    def mesh(self) -> RawMesh:
        """All that the scene shows, in the file's unit."""
        roots = self._roots()
        self._check_sizes(roots)
        transforms: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
        instances: dict[int, _Shown] = {}
        for root in roots:
            for node, transform in self._instances(root, np.eye(4)):
                instances[id(node)] = _shown(node)
                transforms[id(node)].append(transform)
        parts = [
            placed(part, transforms[key])
            for key, instance in instances.items()
            for part in self._parts(instance)
        ]
        if self._textures.let_light_through:
            self._notes["textures that let light through are shown opaque"] = None
        if self._document.errors:
            reason = " ".join(str(self._document.errors[0]).split())[:120]
            self._notes[f"what cannot be read is left out ({reason})"] = None
        if not parts:
            reason = "".join(f" ({note})" for note in self._notes)
            raise ModelError(f"{self._subject} has no triangles{reason}; export it as a surface")
        notes = tuple(f"{self._subject}: {note}" for note in self._notes)
        return replace(joined(by_texture(parts), self._subject), notes=notes)

    def _roots(self) -> list[Any]:
        from collada.scene import GeometryNode

        scene = self._document.scene or next(iter(self._document.scenes), None)
        if scene is not None:
            return list(scene.nodes)
        return [GeometryNode(geometry, []) for geometry in self._document.geometries]

    def _check_sizes(self, roots: list[Any]) -> None:
        """Refuse what is too much before memory is taken for it."""
        sizes: dict[int, _Size] = {}
        root_sizes = [self._size(root, sizes, 0) for root in roots]
        if sum(size.instances for size in root_sizes) > _MOST_INSTANCES:
            raise ModelError(
                f"{self._subject} shows its parts more than {_MOST_INSTANCES} times; simplify it "
                "first"
            )
        if (faces := sum(size.faces for size in root_sizes)) > MAX_FACES:
            raise too_many(self._subject, faces, 3 * faces)

    def _size(self, node: Any, sizes: dict[int, _Size], depth: int) -> _Size:
        if depth > _DEEPEST:
            raise XmlError(f"nodes more than {_DEEPEST} levels deep")
        node = getattr(node, "node", node)
        if id(node) not in sizes:
            inner = [self._size(child, sizes, depth + 1) for child in _children(node)]
            faces = sum(_face_count(part) for part in _primitives(node))
            sizes[id(node)] = _Size(
                faces + sum(size.faces for size in inner),
                1 + sum(size.instances for size in inner),
            )
        return sizes[id(node)]

    def _instances(
        self, node: Any, transform: NDArray[np.float64]
    ) -> Iterator[tuple[Any, NDArray[np.float64]]]:
        """Every node that shows a geometry, and how it is placed."""
        if _geometry(node) is not None:
            yield node, transform
        for child in _children(node):
            yield from self._instances(child, transform @ np.asarray(node.matrix, np.float64))

    def _parts(self, instance: _Shown) -> Iterator[RawMesh]:
        from collada.lineset import LineSet

        for primitive in instance.geometry.primitives:
            if isinstance(primitive, LineSet):
                self._notes["lines are left out"] = None
                continue
            corners = _corners(primitive)
            if len(corners):
                node = instance.materials.get(primitive.material)
                material = node.target if node else None
                material = material or self._document.materials.get(primitive.material)
                yield self._part(primitive, corners, node, material)

    def _part(
        self, primitive: Any, corners: NDArray[np.int64], node: Any, material: Any
    ) -> RawMesh:
        effect = None if material is None else material.effect
        paint = None if effect is None else self._paint(effect)
        texture = self._texture(paint) if hasattr(paint, "sampler") else None
        inputs = {"VERTEX": _input(primitive, "VERTEX"), "NORMAL": _input(primitive, "NORMAL")}
        if texture is not None:
            inputs["TEXCOORD"] = _input(primitive, "TEXCOORD", _set_of(paint, node))
            if inputs["TEXCOORD"] is None:
                self._notes["textures of parts without texture coordinates are left out"] = None
        if texture is None or inputs["TEXCOORD"] is None:
            texture, inputs["COLOR"] = None, _input(primitive, "COLOR")
        part, colors = _gathered(
            corners, {key: values for key, values in inputs.items() if values is not None}
        )
        if texture is not None:
            return replace(part, texture=texture)
        if colors is None and isinstance(paint, tuple):
            colors = np.tile(np.array(paint[:3], dtype=np.float64), (len(part.vertices), 1))
        return part if colors is None else replace(part, colors=_as_bytes(colors))

    def _paint(self, effect: Any) -> Any:
        """What a material's surface shows: a colour, a texture or nothing."""
        transparent = effect.transparent
        if (
            isinstance(transparent, tuple)
            and isinstance(effect.transparency, float)
            and effect.opaque_mode == "A_ONE"
            and 0 < transparent[3] * effect.transparency < 1
        ):
            self._notes["materials that let light through are shown opaque"] = None
        if effect.diffuse is None or effect.shadingtype == "constant":
            return effect.emission if effect.emission is not None else effect.diffuse
        return effect.diffuse

    def _texture(self, paint: Any) -> NDArray[np.uint8] | None:
        path = (paint.sampler.surface.image.path or "").strip()
        if not path:
            self._notes["textures without a file are left out"] = None
            return None
        return self._textures[path]


def _shown(node: Any) -> _Shown:
    return _Shown(_geometry(node), {material.symbol: material for material in node.materials})


def _children(node: Any) -> list[Any]:
    return list(getattr(node, "children", None) or ())


def _geometry(node: Any) -> Any:
    """The geometry that a node shows itself, of a skin that which it is pulled over."""
    from collada.scene import ControllerNode, GeometryNode

    if isinstance(node, GeometryNode):
        return node.geometry
    return getattr(node.controller, "geometry", None) if isinstance(node, ControllerNode) else None


def _primitives(node: Any) -> list[Any]:
    geometry = _geometry(node)
    return [] if geometry is None else geometry.primitives


def _face_count(primitive: Any) -> int:
    counts = getattr(primitive, "vcounts", None)
    if counts is None:
        return len(primitive.index)
    return int(np.maximum(np.asarray(counts, dtype=np.int64) - 2, 0).sum())


def _corners(primitive: Any) -> NDArray[np.int64]:
    """(3F, inputs) what each corner of each triangle has; polygons become fans."""
    index = np.asarray(primitive.index, dtype=np.int64)
    counts = getattr(primitive, "vcounts", None)
    if not index.size:
        return np.empty((0, 1), dtype=np.int64)
    if counts is None:
        return index.reshape(-1, index.shape[-1])
    counts = np.asarray(counts, dtype=np.int64)
    if counts.min() < 0 or counts.sum() != len(index):
        raise XmlError("polygons with more corners than there are")
    triangles = np.maximum(counts - 2, 0)
    first = np.repeat(np.cumsum(counts) - counts, triangles)
    within = np.arange(len(first)) - np.repeat(np.cumsum(triangles) - triangles, triangles)
    fans = np.stack([first, first + within + 1, first + within + 2], axis=1)
    return np.asarray(index[fans.reshape(-1)])


def _input(primitive: Any, kind: str, set_name: str | None = None) -> tuple[int, Any] | None:
    """The offset of an input among a corner's numbers, and its values; of several the first, or
    that of the set."""
    inputs = primitive.sources.get(kind) or []
    matching = [
        entry for entry in inputs if set_name is not None and entry[3] == set_name
    ] or inputs
    return (matching[0][0], matching[0][4].data) if matching else None


def _set_of(paint: Any, node: Any) -> str | None:
    """The set of texture coordinates that a material's texture takes."""
    inputs = [] if node is None else node.inputs
    return next((set_name for semantic, _, set_name in inputs if semantic == paint.texcoord), None)


def _gathered(
    corners: NDArray[np.int64], inputs: dict[str, tuple[int, Any]]
) -> tuple[RawMesh, NDArray[np.float64] | None]:
    """A vertex for each different corner, and the vertices' colours."""
    columns = {kind: corners[:, offset] for kind, (offset, _) in inputs.items()}
    key = np.zeros(len(corners), dtype=np.int64)
    for kind, column in columns.items():
        if column.min() < 0 or column.max() >= len(inputs[kind][1]):
            raise XmlError("triangles that name points it does not have")
        # Numbered anew each time, so that no product of counts overflows.
        _, key = np.unique(key * len(inputs[kind][1]) + column, return_inverse=True)
    _, first, vertex = np.unique(key, return_index=True, return_inverse=True)
    values = {
        kind: np.asarray(inputs[kind][1], dtype=np.float64)[column[first]]
        for kind, column in columns.items()
    }
    part = RawMesh(
        values["VERTEX"],
        vertex.reshape(-1, 3),
        normals=values.get("NORMAL"),
        texture_coordinates=values.get("TEXCOORD"),
    )
    return part, values.get("COLOR")


def _as_bytes(colors: NDArray[np.float64]) -> NDArray[np.uint8]:
    grey = np.repeat(colors[:, :1], 3, axis=1) if colors.shape[1] < 3 else colors[:, :3]
    return np.rint(255 * np.clip(np.nan_to_num(grey), 0, 1)).astype(np.uint8)
