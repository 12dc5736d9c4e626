"""Mesh files of every other kind, read with trimesh.

Convention:
    Coordinates and axes stay as in the file, transforms between a scene's parts applied.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from trimesh.resolvers import Resolver
from trimesh.visual.color import DEFAULT_COLOR
from trimesh.visual.material import PBRMaterial, empty_material

from ._atlas import joined
from ._geometry import MAX_FACES, MAX_VERTICES, RawMesh, too_many
from ._mesh_limits import check_archive
from ._model import ModelError
from ._source_files import SourceFiles

SUFFIXES = (".stl", ".ply", ".obj", ".off", ".glb", ".gltf", ".3mf")


def read(files: SourceFiles) -> tuple[RawMesh, float | None]:
    """The mesh of a file, and millimetres per unit where the format says what its unit is.

    3MF says its unit; the other formats do not. The parts of a scene become one mesh. Textures of
    several parts are put side by side in one.

    Raises:
        ModelError: the file is of another kind or cannot be parsed, or a file that it names is
            missing or not a picture.
    """
    kind = files.path.suffix.lower()
    if kind not in SUFFIXES:
        raise ModelError(
            f"{files.path} is not a mesh file that can be read; export it as one of "
            f"{', '.join(SUFFIXES)}"
        )
    if kind == ".3mf":
        check_archive(files)
    # trimesh raises whatever its parsing runs into. Damaged files were seen to give ValueError,
    # IndexError, KeyError, TypeError, UnboundLocalError, NotImplementedError, EOFError,
    # UnicodeDecodeError, ModuleNotFoundError (a package that guesses encodings),
    # json.JSONDecodeError, zipfile.BadZipFile and zlib.error. All mean that the file is bad.
    try:
        with _silence():
            scene = trimesh.load_scene(
                io.BytesIO(files.content),
                file_type=kind[1:],
                resolver=_Resolver(files),
                process=False,
            )
            parts = list(_parts(scene, files))
            unit = scene.units
    except ModelError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        if isinstance(error, ModuleNotFoundError) and error.name == "charset_normalizer":
            reason = "text that is not UTF-8"
        raise files.unusable or ModelError(
            f"{files.path} cannot be read as {kind[1:].upper()} ({reason}); export it again"
        ) from error
    if files.unusable is not None:
        raise files.unusable
    if not parts:
        raise ModelError(f"{files.path} has no triangles; export it as a surface")
    return joined(parts, str(files.path)), _millimetres(kind, unit)


class _Resolver(Resolver):  # type: ignore[misc]
    """Gives trimesh the files that a mesh file names, and keeps account of them."""

    def __init__(self, files: SourceFiles) -> None:
        self._files = files

    def get(self, name: str) -> bytes:
        return self._files.named(name)

    def keys(self) -> list[str]:
        return []

    # trimesh demands these two of a resolver; a mesh that makes it call one is not read.
    def write(self, name: str, data: bytes) -> None:
        raise io.UnsupportedOperation(f"{name} would be written beside the mesh")

    def namespaced(self, namespace: str) -> Resolver:
        raise io.UnsupportedOperation(f"{namespace} is an archive within the mesh")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """No log lines, tracebacks or warnings on the terminal about a file that we report on."""
    log = logging.getLogger("trimesh")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


def _millimetres(kind: str, unit: str | None) -> float | None:
    return None if unit is None else float(trimesh.units.unit_conversion(unit, "mm"))


def _parts(scene: Any, files: SourceFiles) -> Iterator[RawMesh]:
    faces = vertices = 0
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        geometry = scene.geometry[name]
        if isinstance(geometry, trimesh.Trimesh) and len(geometry.faces):
            # A small file can show one part any number of times.
            faces, vertices = faces + len(geometry.faces), vertices + len(geometry.vertices)
            if faces > MAX_FACES or vertices > MAX_VERTICES:
                raise too_many(str(files.path), faces, vertices)
            yield _transformed(_part(geometry), np.asarray(transform, dtype=np.float64))


def _transformed(part: RawMesh, transform: NDArray[np.float64]) -> RawMesh:
    linear = transform[:3, :3]
    normals = part.normals
    if normals is not None:
        normals = normals @ np.linalg.pinv(linear)
    mirrored = np.linalg.det(linear) < 0
    return replace(
        part,
        vertices=part.vertices @ linear.T + transform[:3, 3],
        faces=part.faces[:, ::-1] if mirrored else part.faces,
        normals=normals,
    )


def _part(geometry: Any) -> RawMesh:
    vertices = np.array(geometry.vertices, dtype=np.float64)
    faces = np.array(geometry.faces, dtype=np.int64)
    # `geometry.vertex_normals` would compute what the file does not hold.
    normals = geometry._cache.cache.get("vertex_normals")
    if normals is not None and np.shape(normals) != vertices.shape:
        normals = None
    part = RawMesh(
        vertices, faces, normals=None if normals is None else np.array(normals, dtype=np.float64)
    )
    visual = geometry.visual
    if visual.kind == "vertex":
        return replace(part, colors=np.array(visual.vertex_colors[:, :3], dtype=np.uint8))
    if visual.kind == "face":
        colors = np.repeat(np.array(visual.face_colors[:, :3], dtype=np.uint8), 3, axis=0)
        apart = part.select(faces.reshape(-1), np.arange(faces.size).reshape(-1, 3))
        return replace(apart, colors=colors)
    if visual.kind == "texture":
        return _with_material(part, visual)
    return part


def _with_material(part: RawMesh, visual: Any) -> RawMesh:
    """The part with its texture, or else in its material's colour."""
    material = visual.material
    if isinstance(material, PBRMaterial):
        picture, color = material.baseColorTexture, material.baseColorFactor
        color = np.full(4, 255) if color is None else np.asarray(color)
    else:
        picture, color = material.image, np.asarray(material.main_color)
        if np.array_equal(color, DEFAULT_COLOR):
            color = None
    if picture is not None and np.shape(visual.uv) == (len(part.vertices), 2):
        texture = np.asarray(picture.convert("RGB"), dtype=np.uint8)
        placeholder = np.asarray(empty_material().image.convert("RGB"))
        if not np.array_equal(texture, placeholder):
            coordinates = np.array(visual.uv, dtype=np.float64)
            return replace(part, texture_coordinates=coordinates, texture=texture)
    if color is None:
        return part
    return replace(part, colors=np.tile(color[:3].astype(np.uint8), (len(part.vertices), 1)))
