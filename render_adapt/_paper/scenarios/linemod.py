"""Synthetic Cropped LineMod to Cropped LineMod, with the real crops that are at hand.

The paper has 109,208 renders of 11 objects with depth, and 9,673 + 1,000 + 2,655 real crops. Here
are five of these objects, and real crops of them without depth: 471 each for training and
validation, 357 each for testing. No figure measured on them is the paper's own experiment.

Splits: all 2,355 real training crops are the unlabelled target. 200 of each object, 1,000 in all as
in the paper, are `target_validation`; the other 1,355 are `target_train`, whose labels only
target-only and semi-supervised training see. So the labels of validation crops never train
anything, while their images are among the unlabelled ones. In `target` the crops of `target_train`
come first, then those of `target_validation`. Test crops are in none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

import cad_models
import renderer
from adapter import LabelledCrops, encode
from cad_models import CadModel, load_models
from checked_settings import AtLeast, Between, NotEmpty, OneOf, SettingError, check
from render_adapt._config import available_cores
from render_adapt._paper.scenarios.cache import cached_crops
from render_adapt._paper.scenarios.data_files import (
    read_labels,
    read_rgb,
    sha256_of_code,
    sha256_of_files,
)
from render_adapt._paper.scenarios.linemod_crops import (
    OBJECTS,
    OFF_AXIS,
    RealCrops,
    read_real_crops,
)
from render_adapt._paper.scenarios.linemod_depth import sensor_depth
from render_adapt._paper.scenarios.scenario import Scenario
from render_adapt._paper.scenarios.subsets import held_out, take
from renderer import (
    PlanConfig,
    Plans,
    RasterRenderer,
    hemisphere_viewpoints,
    look_at,
    make_plans,
    plans_from_poses,
    quaternion_from_matrix,
    symmetry_quaternions,
    turn_towards,
)

Background = Literal["black", "photographs"]

IN_PLANE = 40.0
"""Degrees to either side: the real crops are turned by up to about 39."""
VALIDATION_PER_OBJECT = 200
SOURCE_VALIDATION = 500
_SUBDIVISIONS, _VIEWPOINTS = 4, 1241
_Object = Annotated[str, OneOf(lambda: OBJECTS)]
_SEED, _VALIDATION_SEED = 0, 1
_SPLITS = ("train", "test")
_CROPS_PER_PART = 1000
_SMALLEST_BACKGROUND = 64


def linemod_rgb(
    data: Path,
    cache: Path,
    *,
    in_plane: int = 8,
    viewpoints: int = 1241,
    background: Background = "black",
    objects: Sequence[str] = OBJECTS,
    real_per_object: int | None = None,
) -> Scenario:
    """Colour alone: renders of `viewpoints` x `in_plane` poses of each object, real camera crops.

    Args:
        data: folder that holds `linemod/`, and `imagenet_samples/` for photographs.
        cache: folder for crops that were made once (1.6 GB for the whole scenario).
        in_plane: rotations about the viewing direction, evenly from -40 to 40 degrees.
        viewpoints: directions on the upper hemisphere, at most 1241.
        background: what is behind the rendered objects: nothing, or a random square of a random
            photograph (Table 3).
        objects: some of the five.
        real_per_object: at most so many real crops of an object in each of the two splits that they
            come in, spread over its frames; None takes all. For trials.

    Raises:
        SettingError: an argument out of range, or data that are not there.
    """
    return _scenario(
        data,
        cache,
        _Selection(in_plane, viewpoints, background, tuple(objects), real_per_object),
    )


def linemod_rgbd(
    data: Path,
    cache: Path,
    *,
    in_plane: int = 8,
    viewpoints: int = 1241,
    objects: Sequence[str] = OBJECTS,
    real_per_object: int | None = None,
) -> Scenario:
    """Colour and depth, the target's depth from a simulated sensor.

    The real crops come without depth. Theirs is what `renderer.simulate_structured_light_depth`
    measures of the CAD model at the crop's pose, on the board that it stands on
    (`sensor_depth`): colour is a camera's, depth is not.

    Args:
        As for `linemod_rgb`; the whole scenario takes 2 GB of the cache.

    Raises:
        SettingError: as for `linemod_rgb`.
    """
    selection = _Selection(
        in_plane, viewpoints, "black", tuple(objects), real_per_object, with_depth=True
    )
    return _scenario(data, cache, selection)


@dataclass(frozen=True)
class _Selection:
    """Which renders and real crops a scenario is made of."""

    in_plane: Annotated[int, AtLeast(1)]
    viewpoints: Annotated[int, Between(1, _VIEWPOINTS)]
    background: Background
    objects: Annotated[tuple[_Object, ...], NotEmpty()]
    real_per_object: Annotated[int, AtLeast(2)] | None
    with_depth: bool = False

    def __post_init__(self) -> None:
        check(self)

    @property
    def name(self) -> str:
        """What the crops hold, for the scenario's name."""
        if self.with_depth:
            return "RGB-D, simulated sensor"
        return "RGB" if self.background == "black" else "RGB, photographs behind the renders"

    def recipe(self, seed: int) -> dict[str, Any]:
        """What renders depend on, beside the models and the code."""
        return {
            "in plane": self.in_plane,
            "viewpoints": self.viewpoints,
            "background": self.background,
            "depth": self.with_depth,
            "seed": seed,
        }


def _scenario(data: Path, cache: Path, selection: _Selection) -> Scenario:
    if not (data / "linemod/crops").is_dir():
        raise SettingError(
            f"{data} holds no linemod/crops with real crops: give `data` the folder that holds "
            "linemod/ (docs/paper.md says what is in it)"
        )
    models = load_models(selection.objects, models=data / "linemod/models")
    source = source_plans(models, selection.viewpoints, selection.in_plane)
    unseen = make_plans(
        PlanConfig(in_plane=IN_PLANE, centre="mean", off_axis=OFF_AXIS),
        models, _VALIDATION_SEED, 0, SOURCE_VALIDATION,
    )  # fmt: skip
    real, test = (_real_crops(data, cache, split, models, selection) for split in _SPLITS)
    is_held_out = held_out(real.class_index, VALIDATION_PER_OBJECT, seed=0)
    train = take(real, np.flatnonzero(~is_held_out))
    validation = take(real, np.flatnonzero(is_held_out))
    return Scenario(
        name=(
            f"Synthetic Cropped LineMod to Cropped LineMod ({selection.name}, {len(models)} "
            "objects)"
        ),
        task="pose",
        source=_rendered_crops(data, cache, "source", models, source, selection.recipe(_SEED)),
        source_validation=_rendered_crops(
            data, cache, "source-validation", models, unseen, selection.recipe(_VALIDATION_SEED)
        ),
        target=np.concatenate([train.images, validation.images]),
        target_train=train,
        target_validation=validation,
        target_test=test,
    )


def source_plans(models: Sequence[CadModel], viewpoints: int, in_plane: int) -> Plans:
    """Every object from every viewpoint at every rotation, object after object.

    Cut as the real crops are: around the mean of the mesh's vertices, off the camera's axis by as
    much, with poses that the camera sees. Where in its view, at what distance and in what light
    differs from crop to crop as `make_plans` draws it.
    """
    directions = hemisphere_viewpoints(_SUBDIVISIONS)
    spread = np.linspace(0, len(directions) - 1, viewpoints).round().astype(int)
    angles = np.radians(np.linspace(-IN_PLANE, IN_PLANE, in_plane) if in_plane > 1 else [0.0])
    poses = renderer.in_plane(angles) @ look_at(directions[spread])[:, None]  # (V, R, 3, 3)
    poses = np.tile(poses.reshape(-1, 3, 3), (len(models), 1, 1))
    drawn = make_plans(PlanConfig(centre="mean", off_axis=OFF_AXIS), models, _SEED, 0, len(poses))
    focal = drawn.camera_matrix[:, [0, 1], [0, 1]]
    rays = (drawn.size / 2 - drawn.camera_matrix[:, :2, 2]) / focal
    return plans_from_poses(
        models,
        np.repeat(np.arange(len(models)), len(poses) // len(models)),
        turn_towards(rays) @ poses,
        drawn.centre_depth,
        centre="mean",
        rays=rays,
        light_direction=drawn.light_direction,
        light_color=drawn.light_color,
        ambient_color=drawn.ambient_color,
    )


def _rendered_crops(
    data: Path,
    cache: Path,
    name: str,
    models: Sequence[CadModel],
    plans: Plans,
    recipe: dict[str, Any],
) -> LabelledCrops:
    photographs: list[NDArray[np.uint8]] | None = None
    recipe = recipe | _recipe_of(data, models)
    if recipe["background"] == "photographs":
        files = sorted((data / "imagenet_samples").glob("*.jpg"))
        if not files:
            raise SettingError(
                f"{data} holds no imagenet_samples/*.jpg to put behind the renders; add "
                "photographs there or use the black background"
            )
        recipe["photographs"] = sha256_of_files(files)
        photographs = [read_rgb(file) for file in files]
    kind = "rgbd" if recipe["depth"] else "rgb"
    return cached_crops(
        cache,
        f"linemod-{kind}-{name}",
        recipe,
        len(plans),
        lambda: _render(models, plans, photographs, recipe["seed"], with_depth=recipe["depth"]),
    )


def _render(
    models: Sequence[CadModel],
    plans: Plans,
    photographs: list[NDArray[np.uint8]] | None,
    seed: int,
    *,
    with_depth: bool,
) -> Iterator[LabelledCrops]:
    raster = RasterRenderer(models, threads=available_cores(), levels=False)
    for first in range(0, len(plans), _CROPS_PER_PART):
        part = plans[first : first + _CROPS_PER_PART]
        crops = raster.render(part)
        rgb = crops.rgb
        if photographs is not None:
            behind = backgrounds(photographs, part.index, part.size, seed)
            rgb = np.where(crops.mask[..., None], rgb, behind)
        yield _labelled(
            models,
            encode(rgb, crops.depth if with_depth else None, part.centre_depth),
            crops.mask,
            part.object_index,
            part.rotation,
        )


def backgrounds(
    photographs: Sequence[NDArray[np.uint8]], index: NDArray[np.int64], size: int, seed: int
) -> NDArray[np.uint8]:
    """(N, size, size, 3): for each crop number a random square of a random photograph.

    A square's side is drawn from 64 pixels to the photograph's lesser side.
    """
    behind = np.empty((len(index), size, size, 3), np.uint8)
    for image, number in zip(behind, index, strict=True):
        random = np.random.default_rng([seed, int(number)])
        photograph = photographs[int(random.integers(len(photographs)))]
        height, width = photograph.shape[:2]
        least = min(height, width)
        side = random.integers(min(_SMALLEST_BACKGROUND, least), least + 1)
        top, left = random.integers(height - side + 1), random.integers(width - side + 1)
        square = photograph[top : top + side, left : left + side]
        interpolation = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
        image[:] = cv2.resize(square, (size, size), interpolation=interpolation)
    return behind


def _real_crops(
    data: Path,
    cache: Path,
    split: str,
    models: Sequence[CadModel],
    selection: _Selection,
) -> LabelledCrops:
    """The real crops of a split; masks are the models' silhouettes at the labelled poses."""
    with_depth = selection.with_depth
    folder = data / "linemod/crops" / split
    poses: dict[str, dict[str, list[float]]] = read_labels(folder / "poses.json")
    frames = {
        model.name: _spread(list(poses[model.name]), selection.real_per_object) for model in models
    }
    files = [folder / "poses.json"]
    files += [folder / name / f"{frame}.png" for name in frames for frame in frames[name]]
    recipe = _recipe_of(data, models) | {"files": sha256_of_files(files), "depth": with_depth}
    recipe["split"] = split

    def parts() -> Iterator[LabelledCrops]:
        for number, model in enumerate(models):
            generator = np.random.default_rng(
                [_SEED, OBJECTS.index(model.name), _SPLITS.index(split)]
            )
            crops = read_real_crops(data / "linemod", split, model, generator, frames[model.name])
            yield _real_part(models, number, crops, generator, with_depth=with_depth)

    kind = "rgbd" if with_depth else "rgb"
    count = sum(map(len, frames.values()))
    return cached_crops(cache, f"linemod-{kind}-real-{split}", recipe, count, parts)


def _real_part(
    models: Sequence[CadModel],
    number: int,
    crops: RealCrops,
    generator: np.random.Generator,
    *,
    with_depth: bool,
) -> LabelledCrops:
    """The real crops of one object."""
    plans = crops.plans
    silhouettes = RasterRenderer([models[number]], levels=False).render(plans).mask
    depth = sensor_depth(models[number], crops, generator) if with_depth else None
    object_index = np.full(len(plans), number, np.int32)
    images = encode(crops.rgb, depth, plans.centre_depth)
    return _labelled(models, images, silhouettes, object_index, plans.rotation)


def _labelled(
    models: Sequence[CadModel],
    images: NDArray[np.float32],
    masks: NDArray[np.bool_],
    object_index: NDArray[np.int32],
    rotation: NDArray[np.float64],
) -> LabelledCrops:
    return LabelledCrops(
        images=images.astype(np.float16),
        masks=masks,
        class_index=object_index.astype(np.int64),
        quaternion=quaternion_from_matrix(rotation).astype(np.float32),
        class_names=tuple(model.name for model in models),
        symmetries=symmetry_quaternions(models).astype(np.float32),
    )


def _recipe_of(data: Path, models: Sequence[CadModel]) -> dict[str, Any]:
    """What all crops depend on: the models, and the code that reads and renders them."""
    code = (encode, sensor_depth, read_real_crops, read_rgb, _recipe_of)
    return {
        "objects": {model.name: model.sha256 for model in models},
        "models_info": sha256_of_files([data / "linemod/models/models_info.json"]),
        "code": sha256_of_code(cad_models, renderer, *code),
    }


def _spread(frames: list[str], count: int | None) -> list[str]:
    if count is None or count >= len(frames):
        return frames
    return [frames[row] for row in np.linspace(0, len(frames) - 1, count).round().astype(int)]
