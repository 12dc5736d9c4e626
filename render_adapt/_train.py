"""Training: rendered crops of the user's objects beside crops of the user's camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from adapter import (
    BACKGROUNDS,
    AdapterInfo,
    LabelledCrops,
    Progress,
    TargetCrops,
    TargetCut,
    TargetReport,
    TrainConfig,
    encode,
    read_info,
    read_target,
)
from adapter._settings.pairs import refuse_unread_settings
from adapter._training.lock import only_training
from cad_models import CadModel
from checked_settings import Above, AtLeast, SettingError, check
from render_adapt._config import WINDOW, LitBy, Units, split_names
from render_adapt._files import writing
from render_adapt._own_packages import refuse_own_name
from render_adapt._pairs.backgrounds import refuse_other_files, write_backgrounds
from render_adapt._pairs.light import EVEN_LIGHT, write_even_light
from render_adapt._pairs.pairs import (
    aligned_cut,
    has_kept_its_place,
    picture_poses,
    read_pairs,
)
from render_adapt._planner import CropPlanner
from render_adapt._run_models import blend_file, load_run_models, source_renderer
from render_adapt._runs.target_sheet import write_target_sheet
from render_adapt._verdict.clock import Shown, TrainingClock
from render_adapt._verdict.words import ENOUGH_CROPS
from renderer import (
    Centre,
    PlanConfig,
    Plans,
    Renderer,
    make_plans,
    quaternion_from_matrix,
    symmetry_quaternions,
)

SIZE = 64
"""Adapters are trained on crops of this size, LineMod's."""
TARGET_SHEET = "target.png"
"""The picture of the target's crops, in the training's folder."""


@dataclass(frozen=True)
class TrainRun:
    """What to train an adapter on.

    Raises:
        SettingError: a value is out of range.
    """

    objects: tuple[str, ...]
    """Objects that the camera's crops show: names, or NAME=FILE for a mesh of your own."""
    target: Path
    """Unlabelled camera crops: a folder of images (with or without depth) or a BOP dataset; for
    `preset` best what `render-adapt align` wrote."""
    out: Path
    """Folder of the trained adapter; a run that was stopped continues from OUT.training."""
    models: Path | None = None
    """A BOP models folder, or a .blend file, in place of the built-in models."""
    units: Units | None = None
    """Unit of the mesh files, where it is not millimetres."""
    symmetry: tuple[str, ...] = ()
    """Symmetries of objects whose files do not say them: bowl=z, any turn about its own z axis;
    box=z2, half turns; nut=z6, sixths of a turn (docs/meshes.md)."""
    lit_by: LitBy = "plan"
    """Where the light of renders comes from: `plan`, drawn anew for each; or `scene`, the lights
    and the world of the .blend file, as for a run."""
    provenance: str = ""
    """Where the camera's crops are from and under which licence, to be kept with the adapter."""
    source_crops: Annotated[int, AtLeast(2)] = 10_000
    """Renders to train on."""
    window: float | None = None
    """Side of the square that a crop shows at the object's distance, millimetres; what the target
    says of itself, else 200."""
    centre: Centre | None = None
    """What of the object is in the middle of the camera's crops: `box`, `mean`, `origin` or
    `visible`, as for a run; what the target says of itself (docs/cutting.md), else box."""
    off_axis: float | None = None
    """How many degrees the camera's crops lie off its optical axis at most; what the target says of
    itself, else 0."""
    viewpoints: Literal["hemisphere", "so3"] = "hemisphere"
    """From where the camera saw the objects, and renders show them: `hemisphere`, from above, as on
    a table; `so3`, any orientation."""
    distance: tuple[float, float] = PlanConfig().distance
    """Least and greatest distance from the camera to the object, millimetres."""
    channels: Literal[3, 4] | None = None
    """3 to train on colour alone and leave depth aside, 4 to insist on depth; what the target has,
    if not given."""
    depth_scale: Annotated[float, Above(0)] | None = None
    """Millimetres in a step of the target's depth; what its crops.json says, else told from the
    values."""

    def __post_init__(self) -> None:
        """Split comma-separated names and check the numbers."""
        check(self)
        refuse_own_name("out", self.out)
        object.__setattr__(self, "objects", split_names(self.objects))
        if self.lit_by == "scene" and blend_file(self.objects, self.models) is None:
            raise SettingError("`lit_by` scene is the light of a .blend file: give one as `models`")
        self.plan(None)  # which checks what it is made of

    @property
    def working(self) -> Path:
        """Folder of the training: its checkpoint and pictures."""
        return self.out.with_name(self.out.name + ".training")

    @property
    def has_saved(self) -> bool:
        """Whether there is anything for the same command to go on from."""
        from adapter._training.checkpoint import CHECKPOINT

        return (self.working / CHECKPOINT).exists()

    def cut(self, stated: TargetCut | None) -> TargetCut:
        """How the target's crops are taken to be cut, where they say `stated` of themselves."""
        stated = stated or TargetCut("box", WINDOW, 0.0)
        return TargetCut(
            stated.centre if self.centre is None else self.centre,
            stated.window_mm if self.window is None else float(self.window),
            stated.off_axis_degrees if self.off_axis is None else float(self.off_axis),
            stated.pixels,
        )

    def plan(self, stated: TargetCut | None) -> PlanConfig:
        """How the source crops are planned: as the target's are cut."""
        cut = self.cut(stated)
        return PlanConfig(
            size=SIZE, window=cut.window_mm, distance=self.distance,
            centre=cut.centre, off_axis=cut.off_axis_degrees, viewpoints=self.viewpoints,
        )  # fmt: skip


@dataclass(frozen=True)
class FoundTarget:
    """What a training is going to learn from."""

    report: TargetReport
    """What the target's folder was taken for, and what was left out."""
    contact_sheet: Path
    """A picture of the crops as the network sees them."""

    @property
    def enough(self) -> str:
        """Whether there are crops enough, for people."""
        crops = self.report.crops
        if crops >= ENOUGH_CROPS:
            return f"{crops:,} crops are enough: {ENOUGH_CROPS} or more are"
        return (
            f"{crops:,} crops are few: an adapter has more to learn from {ENOUGH_CROPS} or more, "
            "and what is measured of it then is less rough"
        )


def find_target(run: TrainRun, config: TrainConfig | None = None) -> FoundTarget:
    """Read what a training would learn from, and draw it, without training.

    Args:
        run: the training.
        config: how it would be done, where its target may have to be aligned.

    Raises:
        RenderAdaptError: one sentence that says why it cannot be.
    """
    if config is not None and config.pair_weight:
        run = _of_pairs(run, config)
    _, _, target = read_camera_crops(run)
    return target


def read_camera_crops(
    run: TrainRun, size: int = SIZE
) -> tuple[list[CadModel], TargetCrops, FoundTarget]:
    """The models and the target of a training; the target is drawn into the training's folder.

    Args:
        run: the training.
        size: pixels of the crops, as they are learnt from.

    Raises:
        RenderAdaptError: one sentence that says why they cannot be had.
    """
    models = load_run_models(run.objects, run.models, run.units, run.symmetry, run.lit_by)
    CropPlanner(run.plan(None)).refuse_too_near(models)
    target = read_target(
        run.target,
        size=size,
        channels=run.channels,
        window_mm=run.window,
        depth_scale=run.depth_scale,
    )
    CropPlanner(run.plan(target.cut)).refuse_too_near(models)
    sheet = run.working / TARGET_SHEET
    with writing(sheet, "choose another folder with `out`"):
        run.working.mkdir(parents=True, exist_ok=True)
        name = run.target.resolve().name
        write_target_sheet(sheet, target, name, run.cut(target.cut).window_mm)
    return models, target, FoundTarget(target.report, sheet)


def train_adapter(
    run: TrainRun,
    config: TrainConfig,
    preset: str,
    on_progress: Callable[[Progress], None] | None = None,
    on_target: Callable[[FoundTarget], None] | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> AdapterInfo:
    """Render the source crops, read the target crops, train, save the adapter, and judge it.

    It is calibrated and measured beside the camera's crops (`AdapterInfo.verdict`), and gets a card
    that says in words what came of it. The time limit is of all that.

    In processes that torchrun started it is one training (`adapter.run_training`): each reads and
    renders, the first alone saves the adapter, judges it and calls back.

    Args:
        run: what to train on.
        config: how to train.
        preset: name of the settings that `config` started from, for the adapter's description.
        on_progress: called after each step.
        on_target: called before training, with what was found to learn from.
        on_stage: called with what is done next and about how long it takes, for people.

    Returns:
        The description of the adapter, which is in `run.out`.

    Raises:
        RenderAdaptError: one sentence that says why.
    """
    from adapter import architecture_of
    from adapter._processes import is_first
    from adapter._training.processes import joined

    architecture = architecture_of(config)  # refused before anything is rendered
    if config.pair_weight and not architecture.keeps_background:
        raise SettingError(
            f"`pair_weight` is for aligned crops, which `architecture` {config.architecture} does "
            "not learn from: leave it out, or give `architecture` layered"
        )
    train = _train_on_pairs if architecture.keeps_background else _train_on_crops
    with joined(config):
        if not is_first():
            on_progress = on_target = on_stage = None
        return train(run, config, preset, on_progress, on_target, on_stage)


def _train_on_crops(
    run: TrainRun,
    config: TrainConfig,
    preset: str,
    on_progress: Callable[[Progress], None] | None,
    on_target: Callable[[FoundTarget], None] | None,
    on_stage: Callable[[str], None] | None,
) -> AdapterInfo:
    """`train_adapter` for a target that is not aligned."""
    from adapter import save_adapter, train
    from adapter._training.processes import made_once

    clock = TrainingClock(on_stage)
    models, target, found_target = read_camera_crops(run)
    if on_target is not None:
        on_target(found_target)
    cut, plan = run.cut(target.cut), run.plan(target.cut)
    # The training's own lock would let go before the adapter is saved and calibrated.
    with only_training(run.working, "adapter.lock"):
        renderer = source_renderer(models, run.objects, run.models, run.lit_by)
        clock.says(f"rendering {run.source_crops:,} crops to learn from")
        plans = make_plans(plan, models, config.seed, 0, run.source_crops)
        source = render_source(models, plans, plan.window, renderer, with_depth=target.has_depth)
        shown = Shown(models, plan, target.images, renderer)
        config = clock.left_for_training(config, source.images.shape[1], shown)
        checkpoint = train(source, target.images, config, run.working, on_progress=on_progress)

        def judged() -> AdapterInfo:
            provenance = _provenance(run, models, len(source), f"{len(target.images)} unlabelled")
            info = save_adapter(
                checkpoint, run.out, preset=preset, provenance=provenance,
                window_mm=plan.window, cut=cut,
            )  # fmt: skip
            return clock.judged(run.out, info, shown)

        return made_once(judged, lambda: read_info(run.out))


def _train_on_pairs(
    run: TrainRun,
    config: TrainConfig,
    preset: str,
    on_progress: Callable[[Progress], None] | None,
    on_target: Callable[[FoundTarget], None] | None,
    on_stage: Callable[[str], None] | None,
) -> AdapterInfo:
    """`train_adapter` for a target that is aligned."""
    from adapter import save_adapter, train_on_pairs
    from adapter._training.processes import made_once

    clock = TrainingClock(on_stage)
    run = _of_pairs(run, config)
    models, target, found_target = read_camera_crops(run)
    if on_target is not None:
        on_target(found_target)
    cut, plan = run.cut(None), run.plan(None)
    with only_training(run.working, "adapter.lock"):
        renderer = source_renderer(models, run.objects, run.models, run.lit_by)
        clock.says(f"rendering {run.source_crops:,} crops to learn from")
        pairs, crops = read_pairs(run.target, models, plan, renderer, config.seed)
        plans = make_plans(plan, models, config.seed, 0, run.source_crops, EVEN_LIGHT)
        source = render_source(models, plans, plan.window, renderer, with_depth=True)
        shown = Shown(models, plan, target.images, renderer)
        config = clock.left_for_training(config, source.images.shape[1], shown)
        checkpoint = train_on_pairs(source, pairs, config, run.working, on_progress=on_progress)

        def judged() -> AdapterInfo:
            info = save_adapter(
                checkpoint, run.out, preset=preset,
                provenance=_provenance(run, models, len(source), f"{len(pairs)} aligned"),
                window_mm=plan.window, cut=cut,
            )  # fmt: skip
            with writing(run.out, "make room there, or give a folder that can be written to"):
                poses = picture_poses(crops, models) if has_kept_its_place(run.target) else None
                write_backgrounds(run.out / BACKGROUNDS, pairs.backgrounds, poses)
                write_even_light(run.out)
            return clock.judged(run.out, info, shown)

        return made_once(judged, lambda: read_info(run.out))


def _of_pairs(run: TrainRun, config: TrainConfig) -> TrainRun:
    """A run on a target that is aligned, cut as that is, after all that is refused at once.

    Raises:
        RenderAdaptError: one sentence that says why.
    """
    refuse_unread_settings(config)
    for name in ("channels", "depth_scale"):
        if getattr(run, name) is not None:
            raise SettingError(
                f"`{name}` is of a target's depth, and of an aligned one colours alone are learnt "
                "from: leave it out"
            )
    stated = aligned_cut(run.target, SIZE)
    for name, value in (("centre", stated.centre), ("window", stated.window_mm)):
        if getattr(run, name) not in (None, value):
            raise SettingError(f"`{name}` was {value} as {run.target} was aligned: leave it out")
    refuse_other_files(run.out / BACKGROUNDS)
    cut = run.cut(stated)
    return replace(
        run, channels=3, centre=cut.centre, window=cut.window_mm, off_axis=cut.off_axis_degrees
    )


def _provenance(run: TrainRun, models: list[CadModel], renders: int, crops: str) -> str:
    return (
        f"{renders} renders of {', '.join(model.name for model in models)}; "
        f"{crops} crops: {run.provenance or run.target.name}"
    )


def render_source(
    models: list[CadModel], plans: Plans, window: float, renderer: Renderer, *, with_depth: bool
) -> LabelledCrops:
    """The source domain: renders of the models with their labels."""
    crops = renderer.render(plans)
    depth = crops.depth if with_depth else None
    images = encode(crops.rgb, depth, plans.centre_depth, window).astype(np.float16)
    return LabelledCrops(
        images=images,
        masks=crops.mask,
        class_index=plans.object_index.astype(np.int64),
        quaternion=quaternion_from_matrix(plans.rotation).astype(np.float32),
        class_names=tuple(model.name for model in models),
        symmetries=symmetry_quaternions(models).astype(np.float32),
    )
