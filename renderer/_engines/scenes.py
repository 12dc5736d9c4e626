"""Plans as engines that draw scene by scene take them, looked through, and what they draw put
together as crops."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel, Mesh
from renderer._crops import CropBatch, Plans, Renderer, RenderError
from renderer._pictures.pyramids import Pictures
from renderer._refusals import NEAR, refuse_broken, refuse_unknown


@dataclass(frozen=True)
class Scene:
    """What is drawn at once: P instances of models, a camera and lights.

    Convention:
        As for `Plans`.
    """

    index: int
    """The crop's number."""
    size: tuple[int, int]
    """Width and height, pixels."""
    camera_matrix: NDArray[np.float64]
    """(3, 3)"""
    depth_range: tuple[float, float]
    """Between which z everything lies, millimetres."""
    up: NDArray[np.float64]
    """(3,), unit, camera frame: away from the ground that the target stands on."""
    light_direction: NDArray[np.float32]
    """(L, 3)"""
    light_color: NDArray[np.float32]
    """(L, 3)"""
    ambient_color: NDArray[np.float32]
    """(3,)"""
    object_index: NDArray[np.int32]
    """(P,)"""
    rotation: NDArray[np.float64]
    """(P, 3, 3)"""
    translation: NDArray[np.float64]
    """(P, 3), millimetres."""
    gain: NDArray[np.float32]
    """(P, 3)"""
    specular: NDArray[np.float32]
    """(P,)"""
    shininess: NDArray[np.float32]
    """(P,)"""
    texture: NDArray[np.int32]
    """(P,), the swapped-in picture's place in `Pictures.levels`, -1 where there is none."""
    texture_period: NDArray[np.float32]
    """(P,)"""
    maps: bool
    """Whether normals and positions are wanted."""


@dataclass(frozen=True)
class Picture:
    """What an engine drew of a scene, sampled at pixel centres."""

    rgb: NDArray[np.uint8]
    """(H, W, 3), black where there is no surface."""
    depth: NDArray[np.float32]
    """(H, W), z in millimetres, 0 where there is no surface."""
    instance: NDArray[np.int16]
    """(H, W), which of the scene's P instances is seen, -1 where none is."""
    normals: NDArray[np.float32] | None = None
    """(H, W, 3), camera frame, towards the camera."""
    positions: NDArray[np.float32] | None = None
    """(H, W, 3), millimetres in the frame of the model that is seen."""


class SceneRenderer(Renderer):
    """Renders crop by crop: all instances together, then alone each that another may hide.

    Args:
        models: what `Plans.object_index` counts.
        textures: what `Surfaces.texture` counts, each (h, w, 3) RGB, top row first.

    Raises:
        RenderError: there are no models, a mesh's arrays do not fit together, or a texture is no
            RGB picture.
    """

    def __init__(
        self, models: Sequence[CadModel], textures: Sequence[NDArray[np.uint8]] = ()
    ) -> None:
        if not models:
            raise RenderError("there are no models to render: give at least one")
        for model in models:
            refuse_broken(model)
        self._models = list(models)
        self._pictures = Pictures(textures)
        self._corners = [_corners(model) for model in models]

    @abc.abstractmethod
    def draw(self, scene: Scene) -> Picture:
        """Draw all instances of a scene."""

    @abc.abstractmethod
    def draw_depth(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W), z of all instances of a scene in millimetres, 0 where there is no surface."""

    def render(self, plans: Plans, *, surface_maps: bool = False) -> CropBatch:
        """Render every plan.

        Raises:
            RenderError: a plan names a model or texture that is not there, holds a value that is
                not finite or arrays that do not fit together, has no pixels, or brings an object
                closer than 10 mm to the camera's plane or behind it.
        """
        self._refuse_misfits(plans)
        count, other_count = len(plans), plans.others.object_index.shape[1]
        shape = (plans.height, plans.width)
        batch = CropBatch(
            plans=plans,
            rgb=np.zeros((count, *shape, 3), np.uint8),
            depth=np.zeros((count, *shape), np.float32),
            object_depth=np.zeros((count, *shape), np.float32),
            mask=np.zeros((count, *shape), bool),
            mask_visib=np.zeros((count, *shape), bool),
            others_mask=np.zeros((count, other_count, *shape), bool),
            others_mask_visib=np.zeros((count, other_count, *shape), bool),
            normals=np.zeros((count, *shape, 3), np.float32) if surface_maps else None,
            object_coordinates=np.zeros((count, *shape, 3), np.float32) if surface_maps else None,
        )
        for row in range(count):
            self._fill(batch, row)
        return batch

    def _fill(self, batch: CropBatch, row: int) -> None:
        """Draw one crop into its row of the batch."""
        scene, places = self._scene(batch.plans, row, batch.normals is not None)
        picture = self.draw(scene)
        batch.rgb[row], batch.depth[row] = picture.rgb, picture.depth
        shared = _share_pixels(scene, [self._corners[model] for model in scene.object_index])
        for instance, place in enumerate(places):
            visible = picture.instance == instance
            alone = np.where(visible, picture.depth, 0)
            if shared[instance]:
                # Where it is seen it is there, whatever rounding says when it is drawn alone.
                alone = np.where(visible, alone, self.draw_depth(_only(scene, instance)))
            if place == 0:
                batch.object_depth[row], batch.mask[row] = alone, alone > 0
                batch.mask_visib[row] = visible
            else:
                batch.others_mask[row, place - 1] = alone > 0
                batch.others_mask_visib[row, place - 1] = visible
        if picture.normals is not None and picture.positions is not None:
            assert batch.normals is not None
            assert batch.object_coordinates is not None
            target = batch.mask_visib[row]
            low, high = self._models[scene.object_index[0]].bounds
            extent = np.where(high > low, high - low, 1.0)
            batch.normals[row][target] = _unit(picture.normals[target])
            batch.object_coordinates[row][target] = np.clip(
                (picture.positions[target] - low) / extent, 0, 1
            )

    def _scene(self, plans: Plans, row: int, surface_maps: bool) -> tuple[Scene, NDArray[np.intp]]:
        """A crop's scene, and which place each of its instances has in the plan."""
        others, surfaces = plans.others, plans.surfaces
        index = np.concatenate([plans.object_index[row, None], others.object_index[row]])
        rotation = np.concatenate([plans.rotation[row, None], others.rotation[row]])
        translation = np.concatenate([plans.translation[row, None], others.translation[row]])
        places = np.flatnonzero(index >= 0)
        index, rotation, translation = index[places], rotation[places], translation[places]
        period = surfaces.texture_period[row][places]
        scale = self._pixels_per_millimetre(plans.camera_matrix[row], index, rotation, translation)
        scene = Scene(
            index=int(plans.index[row]),
            size=(plans.width, plans.height),
            camera_matrix=plans.camera_matrix[row],
            depth_range=self._depth_range(int(plans.index[row]), index, rotation, translation),
            up=rotation[0, :, 2],
            light_direction=plans.light_direction[row],
            light_color=plans.light_color[row],
            ambient_color=plans.ambient_color[row],
            object_index=index.astype(np.int32),
            rotation=rotation,
            translation=translation,
            gain=surfaces.gain[row][places],
            specular=surfaces.specular[row][places],
            shininess=surfaces.shininess[row][places],
            texture=self._pictures.find(surfaces.texture[row][places], period * scale),
            texture_period=period,
            maps=surface_maps,
        )
        return scene, places

    def _depth_range(
        self,
        crop: int,
        index: NDArray[np.int32],
        rotation: NDArray[np.float64],
        translation: NDArray[np.float64],
    ) -> tuple[float, float]:
        nearest, farthest = np.inf, 0.0
        for model, turn, shift in zip(index, rotation, translation, strict=True):
            depth = self._models[model].mesh.vertices @ turn[2] + shift[2]
            if not depth.min() > NEAR:
                raise RenderError(
                    f"crop {crop}: {self._models[model].name} reaches to {depth.min():.1f} mm from "
                    f"the camera's plane, and the least is {NEAR:g} mm: put it farther away "
                    "(`distance`)"
                )
            nearest, farthest = min(nearest, depth.min()), max(farthest, depth.max())
        return float(nearest), float(farthest)

    def _pixels_per_millimetre(
        self,
        camera_matrix: NDArray[np.float64],
        index: NDArray[np.int32],
        rotation: NDArray[np.float64],
        translation: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """(P,), at the nearest points of the instances' boxes."""
        corners = np.stack([self._corners[model] for model in index])
        depth = np.einsum("pci,pi->pc", corners, rotation[:, 2]).min(axis=1) + translation[:, 2]
        focal = max(camera_matrix[0, 0], camera_matrix[1, 1], 1e-12)
        return np.asarray(focal / np.maximum(depth, NEAR))

    def _refuse_misfits(self, plans: Plans) -> None:
        count, places = len(plans), 1 + plans.others.object_index.shape[1]
        lights = plans.light_direction.shape[1]
        others, surfaces = plans.others, plans.surfaces
        arrays: dict[str, tuple[NDArray[np.generic], tuple[int, ...]]] = {
            "object_index": (plans.object_index, (count,)),
            "rotation": (plans.rotation, (count, 3, 3)),
            "translation": (plans.translation, (count, 3)),
            "others' object_index": (others.object_index, (count, places - 1)),
            "others' rotation": (others.rotation, (count, places - 1, 3, 3)),
            "others' translation": (others.translation, (count, places - 1, 3)),
            "camera_matrix": (plans.camera_matrix, (count, 3, 3)),
            "light_direction": (plans.light_direction, (count, lights, 3)),
            "light_color": (plans.light_color, (count, lights, 3)),
            "ambient_color": (plans.ambient_color, (count, 3)),
            "gain": (surfaces.gain, (count, places, 3)),
            "specular": (surfaces.specular, (count, places)),
            "shininess": (surfaces.shininess, (count, places)),
            "texture": (surfaces.texture, (count, places)),
            "texture_period": (surfaces.texture_period, (count, places)),
        }
        for name, (values, shape) in arrays.items():
            _refuse_misfit(plans, name, values, shape)
        if plans.width < 1 or plans.height < 1:
            raise RenderError(
                f"crops of {plans.width} x {plans.height} pixels show nothing: "
                "give a size of at least 1"
            )
        if not (surfaces.texture_period > 0).all():
            row = int(np.argwhere(~(surfaces.texture_period > 0))[0, 0])
            raise RenderError(f"crop {plans.index[row]} has a texture_period that is not above 0")
        refuse_unknown(plans, plans.object_index[:, None], 0, len(self._models), "model")
        refuse_unknown(plans, others.object_index, -1, len(self._models), "model")
        refuse_unknown(plans, surfaces.texture, -1, self._pictures.count, "texture")


def oriented_faces(mesh: Mesh) -> NDArray[np.int32]:
    """(F, 3), the faces, wound counter-clockwise seen from where their normals point to."""
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    winding = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inward = (winding * mesh.normals[mesh.faces].sum(axis=1)).sum(axis=1) < 0
    return np.where(inward[:, None], mesh.faces[:, ::-1], mesh.faces).astype(np.int32)


def _only(scene: Scene, instance: int) -> Scene:
    """The scene with one of its instances alone."""
    per_instance = (
        "object_index", "rotation", "translation",
        "gain", "specular", "shininess", "texture", "texture_period",
    )  # fmt: skip
    rows = slice(instance, instance + 1)
    fields = {name: getattr(scene, name)[rows] for name in per_instance}
    return Scene(**{**vars(scene), **fields, "maps": False})


def _corners(model: CadModel) -> NDArray[np.float64]:
    """(8, 3), the corners of the bounding box."""
    low, high = model.bounds
    return np.array([[(low, high)[at >> axis & 1][axis] for axis in range(3)] for at in range(8)])


def _share_pixels(scene: Scene, corners: list[NDArray[np.float64]]) -> NDArray[np.bool_]:
    """(P,), whether some other instance's box may cover a pixel that this one's covers."""
    if len(corners) == 1:
        return np.zeros(1, bool)
    boxes = np.empty((len(corners), 4))
    for row, box in enumerate(corners):
        points = box @ scene.rotation[row].T + scene.translation[row]
        if points[:, 2].min() < 1.0:
            # A box's corner may lie behind the camera where no vertex does.
            boxes[row] = -np.inf, -np.inf, np.inf, np.inf
            continue
        image = (points / points[:, 2:]) @ scene.camera_matrix.T
        boxes[row] = *image[:, :2].min(axis=0), *image[:, :2].max(axis=0)
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    overlap = ((low <= high.swapaxes(0, 1)) & (low.swapaxes(0, 1) <= high)).all(axis=2)
    return np.asarray(overlap.sum(axis=1) > 1)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), np.float32)


def _refuse_misfit(
    plans: Plans, name: str, values: NDArray[np.generic], shape: tuple[int, ...]
) -> None:
    if values.shape != shape:
        raise RenderError(
            f"{name} of the plans has the shape {values.shape} where {shape} fits the rest: "
            "make the plans with make_plans or plans_from_poses"
        )
    finite = np.isfinite(values.astype(np.float64)).all(axis=tuple(range(1, values.ndim)))
    if not finite.all():
        raise RenderError(
            f"crop {plans.index[int(np.argmin(finite))]} has a {name} that is not finite"
        )
