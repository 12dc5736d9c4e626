"""What a run's pictures are: crops around one object each, or whole frames; how each is adapted.

`RunConfig.planner` chooses, and all else asks the planner.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from adapter import Adapter, AdapterInfo, TargetCut
from cad_models import CadModel
from checked_settings import SettingError
from render_adapt._fidelity.faithful import FaithfulCrops, adapt_faithfully
from render_adapt._fidelity.judge import Judge
from render_adapt._frames.adapting import adapt_frames
from renderer import (
    CLEARANCE,
    LINEMOD_CAMERA,
    CameraSettings,
    Centre,
    CropBatch,
    FrameConfig,
    PlanConfig,
    Plans,
    Randomization,
    centre_points,
    linemod_camera,
    make_frame_plans,
    make_plans,
)

_MOST_OFF_WINDOW = 0.01
"""By how large a share another window than an adapter's goes unmentioned."""


@dataclass(frozen=True)
class Planner(abc.ABC):
    """The seam between a run and what its pictures are."""

    config: PlanConfig | FrameConfig
    """How they are posed and framed."""

    what: ClassVar[Literal["crop", "frame"]]
    """What a picture is called."""
    at_once: ClassVar[int]
    """Pictures in memory at once, per worker; a multiple of what an adapter takes at once."""
    depth_reach: ClassVar[float]
    """Millimetres to either side of the target's centre over which people are shown depth."""

    @property
    @abc.abstractmethod
    def camera(self) -> tuple[NDArray[np.float64], int, int]:
        """K, (3, 3), of every picture or one that stands for them, their width and height."""

    @property
    @abc.abstractmethod
    def window(self) -> float | None:
        """Side of the square that an adapter is shown around an object, at its distance,
        millimetres; None where that is for an adapter to say, and there is none."""

    def shown_to(self, adapter: AdapterInfo | None) -> Planner:
        """The planner of a run with an adapter, or without."""
        return self

    @abc.abstractmethod
    def adapt(
        self,
        renders: CropBatch,
        models: Sequence[CadModel],
        adapter: Adapter,
        judge: Judge,
        *,
        seed: int,
        min_fidelity: float,
        redraws: int,
    ) -> FaithfulCrops:
        """Pass pictures through an adapter and a judge, as for `adapt_faithfully`."""

    @abc.abstractmethod
    def plans(
        self,
        models: Sequence[CadModel],
        seed: int,
        start: int,
        stop: int,
        randomization: Randomization,
        textures: int,
    ) -> Plans:
        """What pictures `start` to `stop` of a run contain, as for `renderer.make_plans`.

        Raises:
            RenderError: there are no models, or they cannot be planned for.
        """

    @abc.abstractmethod
    def most_objects(self, randomization: Randomization) -> int:
        """How many objects a picture shows at most."""

    @abc.abstractmethod
    def refuse_too_near(self, models: Sequence[CadModel]) -> None:
        """Refuse to plan where some view would put an object into the camera.

        Raises:
            SettingError: an object reaches as far from its centre as the camera may come to it.
        """

    @abc.abstractmethod
    def notes(self, models: Sequence[CadModel], cut: TargetCut | None) -> tuple[str, ...]:
        """What is worth knowing before a run begins, a sentence each.

        Args:
            models: the run's objects.
            cut: how the crops were cut that the run's adapter learnt from, where that is known.
        """

    @abc.abstractmethod
    def described(self) -> dict[str, Any]:
        """The settings as manifests have them (`planner_of`)."""


@dataclass(frozen=True)
class CropPlanner(Planner):
    """Crops: square windows, each around one object, each with a K of its own."""

    config: PlanConfig

    what = "crop"
    at_once = 64
    depth_reach = 100.0

    @property
    def camera(self) -> tuple[NDArray[np.float64], int, int]:
        """That of a crop in the middle of the distances, which stands for the crops' own."""
        size, (nearest, farthest) = self.config.size, self.config.distance
        focal, middle = size * (nearest + farthest) / 2 / self.config.window, size / 2
        return np.array([[focal, 0.0, middle], [0.0, focal, middle], [0.0, 0.0, 1.0]]), size, size

    @property
    def window(self) -> float:
        """The crops' own."""
        return self.config.window

    def adapt(
        self,
        renders: CropBatch,
        models: Sequence[CadModel],
        adapter: Adapter,
        judge: Judge,
        *,
        seed: int,
        min_fidelity: float,
        redraws: int,
    ) -> FaithfulCrops:
        """Whole crops."""
        return adapt_faithfully(
            renders, adapter, judge, seed=seed, window=self.window, min_fidelity=min_fidelity,
            redraws=redraws,
        )  # fmt: skip

    def plans(
        self,
        models: Sequence[CadModel],
        seed: int,
        start: int,
        stop: int,
        randomization: Randomization,
        textures: int,
    ) -> Plans:
        """Crops `start` to `stop`."""
        return make_plans(self.config, models, seed, start, stop, randomization, textures=textures)

    def most_objects(self, randomization: Randomization) -> int:
        """The target, what may hide it and what stands beside it."""
        return 1 + randomization.occluders[1] + randomization.neighbours[1]

    def refuse_too_near(self, models: Sequence[CadModel]) -> None:
        """Of the crops' middles."""
        refuse_too_near(self.config.targets(models), self.config.distance[0], self.config.centre)

    def notes(self, models: Sequence[CadModel], cut: TargetCut | None) -> tuple[str, ...]:
        """On windows that are small, off their objects or other than the adapter's."""
        window, centre = self.config.window, self.config.centre
        models = self.config.targets(models)
        notes = [
            f"{model.name} is {model.diameter:.0f} mm across and a crop shows {window:.0f} mm: "
            f"give `window` {10 * math.ceil(0.11 * model.diameter)} to see it whole"
            for model in models
            if model.diameter > 2 * window
        ]
        for model, point in zip(models, centre_points(models, centre), strict=True):
            off = float(np.linalg.norm(point - model.centre))
            if centre == "origin" and off > window / 2:
                notes.append(
                    f"the origin of {model.name} lies {off:.0f} mm from its middle, so that crops "
                    "show it at their border or not at all: give `centre` box"
                )
        differs = [] if cut is None else self._other_than(cut)
        if differs:
            notes.append(
                "crops are cut in another way than those that the adapter learnt from "
                f"({', '.join(differs)}): they may look less real and keep their labels less well"
            )
        return tuple(notes)

    def _other_than(self, cut: TargetCut) -> list[str]:
        config, differs = self.config, []
        if config.centre != cut.centre:
            differs.append(f"`centre` {config.centre} in place of {cut.centre}")
        if abs(config.window / cut.window_mm - 1) > _MOST_OFF_WINDOW:
            differs.append(f"`window` {config.window:g} in place of {cut.window_mm:g}")
        off_axis = config.off_axis or 0.0
        if config.picture is not None:
            differs.append("`cut_from`")
        elif off_axis != cut.off_axis_degrees:
            differs.append(f"`off_axis` {off_axis:g} in place of {cut.off_axis_degrees:g}")
        return differs

    def described(self) -> dict[str, Any]:
        """`camera` where crops are cut from its pictures."""
        settings = asdict(self.config)
        if self.config.picture is None:
            del settings["camera"]
        return settings


@dataclass(frozen=True)
class FramePlanner(Planner):
    """Whole frames: several objects on a board, seen by one camera."""

    config: FrameConfig
    window: float | None = None

    what = "frame"
    at_once = 8
    depth_reach = 300.0

    def shown_to(self, adapter: AdapterInfo | None) -> FramePlanner:
        """Whose windows are as the adapter's own crops were cut."""
        return self if adapter is None else replace(self, window=adapter.window_mm)

    def adapt(
        self,
        renders: CropBatch,
        models: Sequence[CadModel],
        adapter: Adapter,
        judge: Judge,
        *,
        seed: int,
        min_fidelity: float,
        redraws: int,
    ) -> FaithfulCrops:
        """Each object in a window of its own."""
        return adapt_frames(
            renders, models, adapter, judge, seed=seed, min_fidelity=min_fidelity, redraws=redraws
        )

    @property
    def camera(self) -> tuple[NDArray[np.float64], int, int]:
        """Every frame's."""
        return self.config.camera_matrix, self.config.width, self.config.height

    def plans(
        self,
        models: Sequence[CadModel],
        seed: int,
        start: int,
        stop: int,
        randomization: Randomization,
        textures: int,
    ) -> Plans:
        """Frames `start` to `stop`."""
        return make_frame_plans(
            self.config, models, seed, start, stop, randomization, textures=textures
        )

    def most_objects(self, randomization: Randomization) -> int:
        """Those on the board."""
        return self.config.objects

    def refuse_too_near(self, models: Sequence[CadModel]) -> None:
        """Of the board's middle; what stands elsewhere is for the plans to refuse."""
        refuse_too_near(models, self.config.distance[0], "box")

    def notes(self, models: Sequence[CadModel], cut: TargetCut | None) -> tuple[str, ...]:
        """None."""
        return ()

    def described(self) -> dict[str, Any]:
        """The camera in numbers, but for what it was if none was given: LINEMOD's published
        numbers, counted from the picture's corner. `window` where an adapter has one."""
        width, height = self.config.width, self.config.height
        camera = self.config.camera or linemod_camera(width, height)
        published = camera == published_linemod_camera(width, height)
        settings = asdict(self.config) | {"camera": None if published else camera}
        return settings if self.window is None else settings | {"window": self.window}


def planner_of(described: Mapping[str, Any]) -> type[Planner]:
    """Which planner has `described` itself so."""
    return FramePlanner if "width" in described else CropPlanner


def published_linemod_camera(width: int, height: int) -> CameraSettings:
    """fx, fy, cx, cy as LINEMOD's are published, for pictures of another size."""
    across, down = width / 640, height / 480
    fx, fy, cx, cy = LINEMOD_CAMERA
    return fx * across, fy * down, cx * across, cy * down


def refuse_too_near(models: Sequence[CadModel], nearest: float, centre: Centre) -> None:
    """As `Planner.refuse_too_near`, of a camera that comes as near as `nearest` to a point."""
    for model, point in zip(models, centre_points(models, centre), strict=True):
        reach = float(np.linalg.norm(np.abs(model.bounds - point).max(axis=0)))
        if nearest <= reach + CLEARANCE:
            raise SettingError(
                f"`distance` begins at {nearest:g} mm, but {model.name} reaches {reach:.0f} mm "
                f"from its centre: begin at {math.ceil(reach + CLEARANCE) + 1} or more"
            )
