"""The triangles of a glTF file's meshes, with what belongs to each corner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cad_models._files.gltf.document import Accessor, Document, Fields, unreadable
from cad_models._files.gltf.materials import Material
from cad_models._files.gltf.scene import Scene, Shown
from cad_models._mesh.checked import RawMesh
from cad_models._model import ModelError

_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_AT_ONCE = 2**16
"""Vertices that follow their joints together."""
_FARTHEST = 1e6
"""Repetitions of a picture, beyond which single precision does not say where in it a point is."""


@dataclass(frozen=True)
class Primitive:
    """A part of a mesh, not yet read."""

    fields: Fields
    positions: Accessor
    indices: Accessor | None
    mode: int

    @property
    def corner_count(self) -> int:
        return len(self.positions if self.indices is None else self.indices)

    @property
    def face_count(self) -> int:
        """How many triangles it has; none of points and lines."""
        if self.mode == _TRIANGLES:
            return self.corner_count // 3
        return max(self.corner_count - 2, 0) if self.mode in (_STRIP, _FAN) else 0

    @property
    def morphed_count(self) -> int:
        """How many vertices its morph targets may move, each target counted."""
        targets = self.fields.get("targets", [])
        return (self.vertex_count + 1) * (len(targets) if isinstance(targets, list) else 0)

    @property
    def vertex_count(self) -> int:
        """How many vertices it has at most."""
        return min(len(self.positions), self.corner_count)


@dataclass(frozen=True)
class Surface:
    """Triangles of one material."""

    part: RawMesh
    """Its texture coordinates are those of the material's picture, the second down from the top."""
    tint: NDArray[np.float64] | None
    """(V, 4), linear red, green, blue, and alpha, by which the material is multiplied."""
    material: Material | None
    lacks_coordinates: bool
    """The material has a picture and the surface does not say where on it."""


def primitives_of(document: Document, mesh: int) -> Iterator[Primitive]:
    """The parts of a mesh.

    Raises:
        ModelError: one is malformed, or compressed in a way that cannot be read.
    """
    for fields in document.entries(document.item("meshes", mesh), "primitives"):
        if not isinstance(fields, dict):
            document.bad("a primitive is not an object")
        attributes = document.fields(fields, "attributes")
        if "POSITION" not in attributes:
            continue
        if document.extension(fields, "KHR_draco_mesh_compression") is not None:
            position = document.item("accessors", attributes["POSITION"])
            if "bufferView" not in position and "sparse" not in position:
                raise unreadable(document.path, "KHR_draco_mesh_compression")
        mode = document.integer(fields, "mode", _TRIANGLES)
        if mode > _FAN:
            document.bad(f"a primitive's mode is {mode}")
        indices = None
        if "indices" in fields:
            indices = document.accessor(fields["indices"], "SCALAR")
            if indices.stored.dtype.kind != "u":
                document.bad("indices are not unsigned integers")
        yield Primitive(fields, document.accessor(attributes["POSITION"], "VEC3"), indices, mode)


def surface_of(
    document: Document,
    primitive: Primitive,
    material: Material | None,
    instance: Shown,
    scene: Scene,
) -> Surface:
    """The triangles of a part as a node shows them, before the node's transform.

    Raises:
        ModelError: something is malformed, or not finite.
    """
    rows, faces = np.unique(_corners(primitive), return_inverse=True)
    if rows[-1] >= len(primitive.positions):
        raise ModelError(
            f"{document.path} has faces that name vertices it does not have; export the mesh again"
        )
    attributes = _Attributes(document, primitive, rows)
    vertices, normals = primitive.positions.numbers(rows), attributes.values("NORMAL", "VEC3")
    vertices, normals = _morphed(document, primitive, instance, rows, vertices, normals)
    if instance.skin is not None:
        vertices, normals = _skinned(document, instance.skin, scene, attributes, vertices, normals)
    if not np.isfinite(vertices).all():
        raise _not_finite(document)
    if normals is not None and not np.isfinite(normals).all():
        normals = None
    coordinates = _coordinates(document, attributes, material)
    part = RawMesh(vertices, faces.reshape(-1, 3), normals, texture_coordinates=coordinates)
    lacks = coordinates is None and material is not None and material.texture is not None
    return Surface(part, _tint(document, attributes), material, lacks)


def _not_finite(document: Document) -> ModelError:
    return ModelError(
        f"{document.path} has coordinates that are not finite numbers; repair the mesh and export "
        "it again"
    )


@dataclass(frozen=True)
class _Attributes:
    document: Document
    primitive: Primitive
    rows: NDArray[np.int64]
    """Of the vertices that are used."""

    def accessor(self, name: str, *kinds: str, holder: Fields | None = None) -> Accessor | None:
        attributes = (
            self.document.fields(self.primitive.fields, "attributes") if holder is None else holder
        )
        if name not in attributes:
            return None
        accessor = self.document.accessor(attributes[name], *kinds)
        if len(accessor) != len(self.primitive.positions):
            self.document.bad(f"{name[:20]} has not as many entries as POSITION")
        return accessor

    def values(
        self, name: str, *kinds: str, holder: Fields | None = None, fractions: bool = False
    ) -> NDArray[np.float64] | None:
        accessor = self.accessor(name, *kinds, holder=holder)
        return None if accessor is None else accessor.numbers(self.rows, fractions=fractions)


def _corners(primitive: Primitive) -> NDArray[np.int64]:
    """(F, 3), the vertices of each triangle."""
    order = np.arange(primitive.corner_count)
    if primitive.indices is not None:
        order = primitive.indices.rows(order)[:, 0].astype(np.int64)
    if primitive.mode == _TRIANGLES:
        return order[: 3 * primitive.face_count].reshape(-1, 3)
    if primitive.mode == _FAN:
        return np.stack([order[1:-1], order[2:], np.full(len(order) - 2, order[0])], axis=1)
    corners = np.stack([order[:-2], order[1:-1], order[2:]], axis=1)
    corners[1::2, 1:] = corners[1::2, :0:-1]
    return corners


def _morphed(
    document: Document,
    primitive: Primitive,
    instance: Shown,
    rows: NDArray[np.int64],
    vertices: NDArray[np.float64],
    normals: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Vertices moved by the morph targets' weights at rest; normals only where none moves."""
    targets = document.entries(primitive.fields, "targets")
    if not targets:
        return vertices, normals
    mesh = document.item("meshes", instance.mesh)
    weights = instance.weights
    if weights is None:
        weights = document.numbers(mesh, "weights", [0.0] * len(targets)).tolist()
    if len(weights) != len(targets):
        document.bad("a mesh has not as many weights as morph targets")
    attributes = _Attributes(document, primitive, rows)
    for weight, target in zip(weights, targets, strict=True):
        if weight == 0:
            continue
        if not isinstance(target, dict):
            document.bad("a morph target is not an object")
        moved = attributes.values("POSITION", "VEC3", holder=target)
        if moved is not None:
            vertices, normals = vertices + weight * moved, None
    return vertices, normals


def _skinned(
    document: Document,
    skin_index: int,
    scene: Scene,
    attributes: _Attributes,
    vertices: NDArray[np.float64],
    normals: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Vertices and normals where the joints are at rest, in the scene."""
    if skin_index not in scene.joints:
        scene.joints[skin_index] = _joint_matrices(document, skin_index, scene)
    matrices = scene.joints[skin_index]
    vertices, normals = vertices.copy(), None if normals is None else normals.copy()
    joints, weights = [], []
    for number in range(2):
        indices = attributes.accessor(f"JOINTS_{number}", "VEC4")
        shares = attributes.values(f"WEIGHTS_{number}", "VEC4", fractions=True)
        if indices is None or shares is None:
            break
        if not indices.is_integer:
            document.bad("joints are not integers")
        joints.append(indices.rows(attributes.rows).astype(np.int64))
        weights.append(shares)
    if not joints:
        return vertices, normals
    joint, weight = np.concatenate(joints, axis=1), np.concatenate(weights, axis=1)
    total = weight.sum(axis=1, keepdims=True)
    if not np.isfinite(weight).all() or (total <= 0).any():
        document.bad("the weights of a skin do not add up")
    if joint.min() < 0 or joint.max() >= len(matrices):
        document.bad("a skin has not as many joints as its vertices name")
    for start in range(0, len(vertices), _AT_ONCE):
        chunk = slice(start, start + _AT_ONCE)
        blend = np.einsum("vk,vkij->vij", weight[chunk] / total[chunk], matrices[joint[chunk]])
        vertices[chunk] = (
            np.einsum("vij,vj->vi", blend[:, :3, :3], vertices[chunk]) + blend[:, :3, 3]
        )
        if normals is not None:
            normals[chunk] = np.einsum("vij,vj->vi", blend[:, :3, :3], normals[chunk])
    return vertices, normals


def _joint_matrices(document: Document, skin_index: int, scene: Scene) -> NDArray[np.float64]:
    """(J, 4, 4), what each joint at rest does with a vertex."""
    skin = document.item("skins", skin_index)
    joints = document.entries(skin, "joints")
    for joint in joints:
        document.item("nodes", joint)
        if joint not in scene.nodes:
            document.bad(f"joint {joint} is not in the scene")
    matrices = np.array([scene.nodes[joint] for joint in joints]).reshape(-1, 4, 4)
    if "inverseBindMatrices" in skin:
        inverse = document.accessor(skin["inverseBindMatrices"], "MAT4", floats=True)
        if len(inverse) < len(joints):
            document.bad("a skin has not as many matrices as joints")
        columns = inverse.numbers(np.arange(len(joints))).reshape(-1, 4, 4)
        matrices = matrices @ columns.transpose(0, 2, 1)
    return matrices


def _coordinates(
    document: Document, attributes: _Attributes, material: Material | None
) -> NDArray[np.float64] | None:
    """(V, 2), in the material's picture; None where there is none or nothing is said."""
    if material is None or material.texture is None:
        return None
    values = attributes.values(f"TEXCOORD_{material.coordinates}", "VEC2")
    if values is None:
        return None
    transform = np.array(material.transform)
    values = values @ transform[:, :2].T + transform[:, 2]
    if not np.isfinite(values).all():
        raise _not_finite(document)
    return np.asarray(np.clip(values, -_FARTHEST, _FARTHEST))


def _tint(document: Document, attributes: _Attributes) -> NDArray[np.float64] | None:
    values = attributes.values("COLOR_0", "VEC3", "VEC4", fractions=True)
    if values is None:
        return None
    if not np.isfinite(values).all():
        document.bad("colours are not finite numbers")
    tint = np.ones((len(values), 4))
    tint[:, : values.shape[1]] = np.clip(values, 0, 1)
    return tint
