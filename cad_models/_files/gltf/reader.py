"""glTF 2.0 (.gltf and .glb): its default scene at rest as one mesh, as far as a mesh can show it.

Convention:
    Metres and axes stay as in the file. Colours become 8-bit sRGB: factors and vertex colours are
    linear in the file, textures are sRGB there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cad_models._files.gltf.document import Document, unreadable
from cad_models._files.gltf.limits import MOST_NODES, MOST_NUMBERS
from cad_models._files.gltf.materials import (
    Material,
    decoded,
    extended,
    image_content,
    left_out,
    material_of,
    reduced,
    sharpened,
    tinted,
    without_hidden_colors,
)
from cad_models._files.gltf.primitives import Primitive, Surface, primitives_of, surface_of
from cad_models._files.gltf.scene import Matrices, Scene, Shown, scene_of, too_many_places
from cad_models._files.pictures import MAX_PIXELS, picture_pixels
from cad_models._files.source import MAX_BYTES, SourceFiles
from cad_models._mesh import srgb
from cad_models._mesh.atlas import LARGEST_TILE, joined
from cad_models._mesh.baking import baked
from cad_models._mesh.checked import MAX_FACES, MAX_VERTICES, RawMesh, too_many
from cad_models._mesh.cutouts import Alpha, cut
from cad_models._model import ModelError

SUFFIXES = (".glb", ".gltf")
MILLIMETRES = 1000.0
"""In the format's unit."""
MOST_CUT_FACES = 250_000
"""Of all surfaces that are cut where they are hidden."""
_MOST_BAKED_TEXELS = 2**24
"""Of all textures that are multiplied by vertex colours."""
_LARGEST_CUT_SIDE = 4096
"""Pixels of the side of a picture that hides something."""
_MOST_ALPHA_TEXELS = 2**22
"""Of a picture that is looked at for what it hides; 2048 x 2048."""
_MOST_ALPHA_TEXELS_IN_ALL = 2**26
"""Of all of these where each surface has its own."""

_READ = {
    "KHR_mesh_quantization", "KHR_texture_transform", "KHR_materials_unlit",
    "KHR_materials_pbrSpecularGlossiness", "EXT_texture_webp", "EXT_mesh_gpu_instancing",
    "KHR_node_visibility",
}  # fmt: skip
_OF_NO_MATTER = {
    "KHR_lights_punctual", "KHR_xmp", "KHR_xmp_json_ld", "KHR_animation_pointer",
    "EXT_lights_image_based", "EXT_lights_ies", "MSFT_lod",
}  # fmt: skip


def read(files: SourceFiles) -> RawMesh:
    """The mesh of a file, with notes on what is not shown.

    What alpha hides is cut away. The parts of the scene become one mesh, with one texture.

    Raises:
        ModelError: the file cannot be read, or shows no triangles, or too many.
    """
    document = Document(files)
    _check_extensions(document)
    with np.errstate(over="ignore", invalid="ignore"):
        reader = _Reader(document)
        parts = list(reader.parts())
    if not parts:
        raise ModelError(f"{files.path} shows nothing: all of it is transparent; export it opaque")
    mesh = joined(parts, str(files.path))
    return replace(mesh, notes=tuple(reader.notes()), millimetres_per_unit=MILLIMETRES)


def _check_extensions(document: Document) -> None:
    for name in map(str, document.entries(document.root, "extensionsRequired")):
        if name not in _READ | _OF_NO_MATTER and not name.startswith("KHR_materials_"):
            raise unreadable(document.path, name)


@dataclass(frozen=True)
class _PlacedSurface:
    """A surface, and where it is shown."""

    surface: Surface
    matrices: Matrices


class _Reader:
    """The parts of a file's scene, and what had to be left out."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._left_out: set[str] = set()
        self._notes: dict[str, None] = {}
        self._name = document.path.name
        self._materials: dict[int, Material] = {}
        self._texels = 0
        placed_surfaces = list(self._placed(scene_of(document)))
        if not placed_surfaces:
            lines = " but points or lines" if "points and lines" in self._left_out else ""
            raise ModelError(
                f"{document.path} has no triangles in its scene{lines}; export it as a surface"
            )
        self._groups: dict[Material | None, list[_PlacedSurface]] = {}
        for surface in placed_surfaces:
            self._groups.setdefault(_look(surface.surface), []).append(surface)
        cut_places = sum(
            len(surface.matrices)
            for look, group in self._groups.items()
            for surface in group
            if look is not None and look.mode != "OPAQUE"
        )
        self._most_cut = MOST_CUT_FACES // max(cut_places, 1)
        self._most_baked = _MOST_BAKED_TEXELS // len(placed_surfaces)

    def _placed(self, scene: Scene) -> Iterator[_PlacedSurface]:
        document = self._document
        places: dict[tuple[int, int | None, tuple[float, ...] | None], list[Shown]] = {}
        for instance in scene.shown:
            weights = None if instance.weights is None else tuple(instance.weights)
            places.setdefault((instance.mesh, instance.skin, weights), []).append(instance)
        placings: list[tuple[Primitive, Shown, Matrices]] = []
        for instances in places.values():
            matrices = np.concatenate([instance.matrices for instance in instances])
            for primitive in primitives_of(document, instances[0].mesh):
                placings.append((primitive, instances[0], matrices))
                if len(placings) > MOST_NODES:
                    raise too_many_places(document)
        self._check_counts([(primitive, len(matrices)) for primitive, _, matrices in placings])
        for primitive, instance, matrices in placings:
            if not primitive.face_count:
                self._left_out.add("points and lines")
                continue
            material = self._material(primitive)
            surface = _evenly_tinted(surface_of(document, primitive, material, instance, scene))
            self._remember(primitive, instance, surface)
            yield _PlacedSurface(surface, matrices)

    def _material(self, primitive: Primitive) -> Material | None:
        if "material" not in primitive.fields:
            return None
        index = primitive.fields["material"]
        self._document.item("materials", index)
        if index not in self._materials:
            self._materials[index] = material_of(self._document, index)
            self._left_out |= left_out(self._document, index)
        return self._materials[index]

    def _check_counts(self, primitives: Sequence[tuple[Primitive, int]]) -> None:
        """A small file can show one part any number of times."""
        faces = sum(times * primitive.face_count for primitive, times in primitives)
        vertices = sum(
            times * primitive.vertex_count for primitive, times in primitives
            if primitive.face_count
        )  # fmt: skip
        if faces > MAX_FACES or vertices > MAX_VERTICES:
            raise too_many(str(self._document.path), faces, vertices)
        morphed = sum(primitive.morphed_count for primitive, _ in primitives)
        if morphed > MOST_NUMBERS:
            raise ModelError(
                f"{self._document.path} has morph targets for {morphed} vertices and the limit is "
                f"{MOST_NUMBERS}; export it without them"
            )

    def _remember(self, primitive: Primitive, instance: Shown, surface: Surface) -> None:
        """What of the surface is not shown as it is meant."""
        if surface.lacks_coordinates:
            self._note("textures without texture coordinates are left out")
        if instance.skin is not None or primitive.fields.get("targets"):
            self._note("it is shown at rest, without animation")
        material = surface.material
        if material is not None and material.mode == "BLEND":
            alphas = np.array([material.factor[3]])
            if surface.tint is not None:
                alphas = alphas * surface.tint[:, 3]
            if ((alphas > 0) & (alphas < 1)).any():
                self._left_out.add("transparency")

    def _note(self, note: str) -> None:
        self._notes[f"{self._name}: {note}"] = None

    def notes(self) -> list[str]:
        """A sentence for each thing that is not shown as it is meant."""
        if self._document.entries(self._document.root, "animations"):
            self._note("it is shown at rest, without animation")
        looks = sorted(self._left_out)
        if looks:
            words = " and ".join([", ".join(looks[:-1]), looks[-1]] if looks[1:] else looks)
            is_plural = len(looks) > 1 or words.endswith("s")
            self._note(f"{words} {'are' if is_plural else 'is'} left out")
        return list(self._notes)

    def parts(self) -> Iterator[RawMesh]:
        """The scene's surfaces in their places, those that share a texture as one.

        Raises:
            ModelError: a texture cannot be read, or all are too large together.
        """
        pictures: dict[int, list[Material]] = {}
        for look in self._groups:
            if look is not None and look.texture is not None:
                pictures.setdefault(look.texture.image, []).append(look)
        plain = [
            part
            for look, group in self._groups.items()
            if look is None or look.texture is None
            for part in self._plain(look, group)
        ]
        if plain:
            yield joined(plain, str(self._document.path))
        contents = self._contents(pictures)
        largest = self._largest_side(pictures, contents, bool(plain))
        for image, looks in pictures.items():
            rgba = decoded(self._document, image, contents[image], largest)
            for look in looks:
                yield from self._textured(look, rgba)

    def _contents(self, images: Iterable[int]) -> dict[int, bytes]:
        contents, total = {}, 0
        for image in images:
            contents[image] = image_content(self._document, image)
            total += len(contents[image])
            if total > MAX_BYTES:
                raise ModelError(
                    f"{self._document.path} has textures of more than {MAX_BYTES // 1024**2} MiB "
                    "in all; make them smaller"
                )
        return contents

    def _largest_side(
        self,
        pictures: Mapping[int, list[Material]],
        contents: Mapping[int, bytes],
        has_plain: bool,
    ) -> int:
        """Pixels of a picture's side, all pictures considered."""
        count = sum(len(looks) for looks in pictures.values())
        largest = LARGEST_TILE if count + has_plain > 1 else MAX_PIXELS
        as_stored = sum(picture_pixels(content) for content in contents.values())
        made = sum(
            len(looks) * min(picture_pixels(contents[image]), largest**2)
            for image, looks in pictures.items()
        )
        if max(as_stored, made) > MAX_PIXELS:
            raise self._too_many_pixels()
        return largest

    def _too_many_pixels(self) -> ModelError:
        return ModelError(
            f"{self._document.path} has textures of more than {MAX_PIXELS} pixels in all; make "
            "them smaller"
        )

    def _count_texels(self, texture: NDArray[np.uint8]) -> None:
        self._texels += texture.shape[0] * texture.shape[1]
        if self._texels > MAX_PIXELS:
            raise self._too_many_pixels()

    def _plain(self, look: Material | None, group: Sequence[_PlacedSurface]) -> Iterator[RawMesh]:
        for placed in group:
            part, tint = placed.surface.part, placed.surface.tint
            if look is not None:
                part, tint = self._seen(look, part, tint, None)
            if not len(part.faces):
                continue
            if look is not None or tint is not None:
                light = np.ones((len(part.vertices), 4)) if tint is None else tint
                factor = np.ones(3) if look is None else np.array(look.factor[:3])
                part = replace(part, colors=srgb.encoded(light[:, :3] * factor))
            yield _in_places(replace(part, texture_coordinates=None), placed.matrices)

    def _textured(self, look: Material, rgba: NDArray[np.uint8]) -> Iterator[RawMesh]:
        group = self._groups[look]
        rgba, group = self._prepared(look, rgba, group)
        alpha = self._alpha(look, rgba, group)
        if alpha is not None:
            rgba = without_hidden_colors(rgba, _hidden(look)[rgba[..., 3]])
        texture, shared = tinted(rgba[..., :3], look.factor), []
        self._count_texels(texture)
        for placed in group:
            part, tint = self._seen(look, placed.surface.part, placed.surface.tint, alpha)
            if not len(part.faces):
                continue
            part = replace(
                part, texture=texture, texture_coordinates=_coordinates(part) * (1, -1) + (0, 1)
            )
            if tint is None or (tint[:, :3] == 1).all():
                shared.append(_in_places(part, placed.matrices))
            else:
                part = baked(part, tint[:, :3], self._most_baked)
                assert part.texture is not None
                self._count_texels(part.texture)
                yield _in_places(part, placed.matrices)
        if shared:
            yield joined(shared, str(self._document.path))

    def _prepared(
        self, look: Material, rgba: NDArray[np.uint8], group: Sequence[_PlacedSurface]
    ) -> tuple[NDArray[np.uint8], list[_PlacedSurface]]:
        """A picture that looks right repeated, and the surfaces with their places in it."""
        assert look.texture is not None
        if look.mode != "OPAQUE":
            rgba = reduced(rgba, _LARGEST_CUT_SIDE / max(rgba.shape))
        if look.texture.sharp:
            rgba = sharpened(rgba, look.mode != "OPAQUE")
        coordinates_of_all = np.concatenate([_coordinates(placed.surface.part) for placed in group])
        rgba, scale, offset, as_it_was = extended(
            rgba, look.texture.wraps, coordinates_of_all.min(axis=0), coordinates_of_all.max(axis=0)
        )
        if as_it_was:
            self._note("a texture is repeated where it should be clamped or mirrored")
        moved = []
        for placed in group:
            coordinates = _coordinates(placed.surface.part) * scale + offset
            part = replace(placed.surface.part, texture_coordinates=coordinates)
            moved.append(replace(placed, surface=replace(placed.surface, part=part)))
        return rgba, moved

    def _alpha(
        self, look: Material, rgba: NDArray[np.uint8], group: Sequence[_PlacedSurface]
    ) -> Alpha | None:
        """What the picture hides of surfaces that have no alpha of their own."""
        if look.mode == "OPAQUE":
            return None
        tinted_count = sum(placed.surface.tint is not None for placed in group)
        most = min(_MOST_ALPHA_TEXELS, _MOST_ALPHA_TEXELS_IN_ALL // max(tinted_count, 1))
        stored = np.ascontiguousarray(rgba[..., 3])
        if look.mode == "BLEND":
            if (~_hidden(look)[stored] & (stored < 255)).any():
                self._left_out.add("transparency")
            stored = np.where(_hidden(look)[stored], 0, 255).astype(np.uint8)
        stored = reduced(stored, math.sqrt(most / stored.size))
        factor = look.factor[3] if look.mode == "MASK" else 1.0
        return Alpha(3, None, stored / 255 * factor, _cutoff(look))

    def _seen(
        self,
        look: Material,
        part: RawMesh,
        tint: NDArray[np.float64] | None,
        alpha: Alpha | None,
    ) -> tuple[RawMesh, NDArray[np.float64] | None]:
        """The part without what its material hides, and its own colours.

        Args:
            look: the material.
            part: with coordinates in the picture, if there is one.
            tint: (V, 4) or None.
            alpha: the picture's, if there is one.
        """
        if look.mode == "OPAQUE":
            return part, tint
        if look.mode == "BLEND":
            vertex_alpha = np.ones(len(part.vertices)) if tint is None else tint[:, 3]
            is_visible = (vertex_alpha * look.factor[3] > 0)[part.faces].any(axis=1)
            part = replace(part, faces=part.faces[is_visible])
            if tint is not None:
                tint = np.column_stack([tint[:, :3], np.ones(len(tint))])
        if alpha is None:
            factor = look.factor[3] if look.mode == "MASK" else 1.0
            alpha = Alpha(3, None, np.full((1, 1), factor), _cutoff(look))
        return self._cut(part, tint, alpha) if len(part.faces) else (part, tint)

    def _cut(
        self, part: RawMesh, tint: NDArray[np.float64] | None, alpha: Alpha
    ) -> tuple[RawMesh, NDArray[np.float64] | None]:
        count, coordinates = len(part.vertices), part.texture_coordinates
        columns = [
            part.vertices,
            np.zeros((count, 2)) if coordinates is None else coordinates,
            np.ones((count, 4)) if tint is None else tint,
            np.zeros((count, 0)) if part.normals is None else part.normals,
        ]
        if tint is not None:
            alpha = replace(alpha, column=8)
        table, faces, coarse = cut(np.column_stack(columns), part.faces, alpha, self._most_cut)
        if coarse:
            self._note("what is transparent is cut out coarsely, since it has so many edges")
        part = replace(
            part,
            vertices=table[:, :3],
            faces=faces,
            normals=None if part.normals is None else table[:, 9:],
            texture_coordinates=None if coordinates is None else table[:, 3:5],
        )
        return part, None if tint is None else table[:, 5:9]


def _hidden(look: Material) -> NDArray[np.bool_]:
    """(256,), whether a picture's alpha is hidden, on a surface with none of its own."""
    alpha = np.arange(256) / 255
    return alpha * look.factor[3] < look.cutoff if look.mode == "MASK" else alpha == 0


def _cutoff(look: Material) -> float:
    """Of BLEND half-way between what is hidden, 0, and what is not, 1."""
    return look.cutoff if look.mode == "MASK" else 0.5


def _evenly_tinted(surface: Surface) -> Surface:
    """The surface with the colour that all of its vertices have in its material."""
    tint = surface.tint
    if tint is None or (tint != tint[0]).any():
        return surface
    material = surface.material or Material()
    red, green, blue, alpha = (np.array(material.factor) * tint[0]).tolist()
    return replace(surface, tint=None, material=replace(material, factor=(red, green, blue, alpha)))


def _look(surface: Surface) -> Material | None:
    """What surfaces with one texture have in common."""
    material = surface.material
    if material is None:
        # The format's own, white and opaque, takes the place of none where there are colours.
        return None
    if surface.lacks_coordinates:
        material = replace(material, texture=None)
    return replace(
        material,
        coordinates=0,
        transform=Material.transform,
        cutoff=material.cutoff if material.mode == "MASK" else Material.cutoff,
    )


def _coordinates(part: RawMesh) -> NDArray[np.float64]:
    assert part.texture_coordinates is not None
    return part.texture_coordinates


def _in_places(part: RawMesh, matrices: Matrices) -> RawMesh:
    """The part once for each matrix, (N, 4, 4), faces outward in mirrored ones too."""
    used = np.unique(part.faces)
    if len(used) < len(part.vertices):
        part = part.select(used, np.searchsorted(used, part.faces))
    times, count = len(matrices), len(part.vertices)
    linear = matrices[:, :3, :3]
    vertices = part.vertices @ linear.transpose(0, 2, 1) + matrices[:, None, :3, 3]
    normals = None
    if part.normals is not None:
        # Transforms without an inverse leave a flat part whose faces say more than these.
        turned = part.normals @ np.linalg.pinv(linear)
        lengths = np.linalg.norm(turned, axis=2, keepdims=True)
        normals = (turned / np.where(lengths > 0, lengths, 1)).reshape(-1, 3)
    coordinates, mirrored = part.texture_coordinates, np.linalg.det(linear) < 0
    faces = np.where(mirrored[:, None, None], part.faces[:, ::-1], part.faces)
    faces = faces + count * np.arange(times)[:, None, None]
    return replace(
        part,
        vertices=vertices.reshape(-1, 3),
        faces=faces.reshape(-1, 3),
        normals=normals,
        colors=None if part.colors is None else np.tile(part.colors, (times, 1)),
        texture_coordinates=None if coordinates is None else np.tile(coordinates, (times, 1)),
    )
