"""What a glTF file's scene shows, and where: its tree of nodes, walked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cad_models._files.gltf.document import Document, Fields
from cad_models._files.gltf.limits import MOST_NODES
from cad_models._model import ModelError

Matrices = NDArray[np.float64]
"""(N, 4, 4)."""


@dataclass(frozen=True)
class Shown:
    """A mesh, and a node that shows it."""

    mesh: int
    matrices: Matrices
    """One for each place, from the mesh to the scene."""
    skin: int | None
    weights: list[float] | None
    """Of the mesh's morph targets, None where the mesh's own count."""


@dataclass(frozen=True)
class Scene:
    """All that is shown."""

    shown: list[Shown]
    nodes: dict[int, NDArray[np.float64]]
    """From each node to the scene, (4, 4)."""
    joints: dict[int, Matrices] = field(default_factory=dict)
    """By skin, what each joint at rest does with a vertex, kept once it is known."""


def scene_of(document: Document) -> Scene:
    """The default scene, or where there is none all that the file holds.

    Raises:
        ModelError: the nodes are no tree, or too many.
    """
    if len(document.entries(document.root, "nodes")) > MOST_NODES:
        raise too_many_places(document)
    instances, matrices, places = [], {}, 0
    with np.errstate(over="ignore", invalid="ignore"):
        for index, node, matrix, visible in _walk(document):
            if not np.isfinite(matrix).all():
                document.bad(f"node {index} has a transform that is not finite")
            matrices[index] = matrix
            if visible and "mesh" in node:
                instances.append(_shown(document, node, matrix))
                places += len(instances[-1].matrices)
                if places > MOST_NODES:
                    raise too_many_places(document)
    return Scene(instances, matrices)


def too_many_places(document: Document) -> ModelError:
    """The error for a file that would take minutes, however little it shows."""
    return ModelError(
        f"{document.path} has more than {MOST_NODES} nodes, or places for the parts of its meshes; "
        "join its parts first"
    )


def _walk(document: Document) -> Iterator[tuple[int, Fields, NDArray[np.float64], bool]]:
    """Every node once, parents first, with its transform and whether it is visible."""
    waiting = [(root, np.eye(4), True) for root in reversed(_roots(document))]
    local, visited = _local(document), set()
    while waiting:
        index, above, visible = waiting.pop()
        node = document.item("nodes", index)
        if index in visited:
            document.bad(f"node {index} has several parents")
        visited.add(index)
        matrix = above @ local[index]
        visibility = document.extension(node, "KHR_node_visibility")
        if visibility is not None:
            visible = visible and document.flag(visibility, "visible", True)
        yield index, node, matrix, visible
        for child in reversed(document.entries(node, "children")):
            document.item("nodes", child)
            waiting.append((child, matrix, visible))


def _roots(document: Document) -> list[int]:
    root = document.root
    scenes = document.entries(root, "scenes")
    if "scene" in root or len(scenes) == 1:
        nodes = document.entries(document.item("scenes", root.get("scene", 0)), "nodes")
    else:
        count = len(document.entries(root, "nodes"))
        below = {
            child
            for index in range(count)
            for child in document.entries(document.item("nodes", index), "children")
            if isinstance(child, int)
        }
        nodes = [index for index in range(count) if index not in below]
    for node in nodes:
        document.item("nodes", node)
    return list(dict.fromkeys(nodes))


def _local(document: Document) -> Matrices:
    """Of every node, to its parent."""
    nodes = document.entries(document.root, "nodes")
    defaults = {"translation": [0.0] * 3, "rotation": [0.0, 0.0, 0.0, 1.0], "scale": [1.0] * 3}
    values = {name: np.tile(default, (len(nodes), 1)) for name, default in defaults.items()}
    stated = {}
    for index in range(len(nodes)):
        node = document.item("nodes", index)
        if "matrix" in node:
            columns = document.numbers(node, "matrix", [0.0] * 16).reshape(4, 4)
            stated[index] = columns.T
        for name, default in defaults.items():
            if name in node:
                values[name][index] = document.numbers(node, name, default)
    matrices = _composed(values["translation"], values["rotation"], values["scale"])
    for index, matrix in stated.items():
        matrices[index] = matrix
    return matrices


def _composed(
    translation: NDArray[np.float64], rotation: NDArray[np.float64], scale: NDArray[np.float64]
) -> Matrices:
    """Scaled, then turned by quaternions (x, y, z, w), then moved; (N, 3), (N, 4) and (N, 3)."""
    lengths = np.linalg.norm(rotation, axis=1, keepdims=True)
    x, y, z, w = (rotation / np.where(lengths > 0, lengths, 1)).T
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrices = np.tile(np.eye(4), (len(scale), 1, 1))
    matrices[:, :3, :3] = turn.transpose(2, 0, 1) * scale[:, None, :]
    matrices[:, :3, 3] = translation
    return matrices


def _shown(document: Document, node: Fields, matrix: NDArray[np.float64]) -> Shown:
    document.item("meshes", node["mesh"])
    weights = None
    if "weights" in node:
        weights = document.numbers(
            node, "weights", [0.0] * len(document.entries(node, "weights"))
        ).tolist()
    skin = document.integer(node, "skin") if "skin" in node else None
    # What its joints do with a mesh takes the place of its node's transform.
    places = np.eye(4)[None] if skin is not None else matrix[None]
    instances = document.extension(node, "EXT_mesh_gpu_instancing")
    if instances is not None:
        places = places @ _instances(document, instances)
        if not np.isfinite(places).all():
            document.bad("an instance has a transform that is not finite")
    return Shown(node["mesh"], places, skin, weights)


def _instances(document: Document, instances: Fields) -> Matrices:
    attributes = document.fields(instances, "attributes")
    kinds = {"TRANSLATION": "VEC3", "ROTATION": "VEC4", "SCALE": "VEC3"}
    accessors = {
        name: document.accessor(attributes[name], kind)
        for name, kind in kinds.items()
        if name in attributes
    }
    count = max((len(accessor) for accessor in accessors.values()), default=1)
    if count > MOST_NODES:
        raise too_many_places(document)
    if any(len(accessor) != count for accessor in accessors.values()):
        document.bad("the attributes of instances differ in number")
    values = {
        "TRANSLATION": np.zeros((count, 3)),
        "ROTATION": np.tile([0.0, 0.0, 0.0, 1.0], (count, 1)),
        "SCALE": np.ones((count, 3)),
    } | {name: accessor.numbers(np.arange(count)) for name, accessor in accessors.items()}
    return _composed(values["TRANSLATION"], values["ROTATION"], values["SCALE"])
