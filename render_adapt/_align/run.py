"""An alignment from its command to its dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from adapter import FAR, TargetCrops, decode
from adapter._training.arithmetic import torch_of
from adapter._training.checkpoint import fingerprint_of
from adapter._training.lock import only_training
from cad_models import CadModel
from render_adapt._align.aligner import Aligner, TargetView, nominal_cameras
from render_adapt._align.calibration import Calibrated, calibrate, harder
from render_adapt._align.dataset import finished_run, write_alignment
from render_adapt._align.network import CoordinateNetwork
from render_adapt._align.result import Result, make_result, sure_crops
from render_adapt._align.settings import AlignConfig, AlignSummary
from render_adapt._align.sheet import SHEET
from render_adapt._align.source import DenseCrops, Source, dense_crops
from render_adapt._align.table import TABLE
from render_adapt._align.together import agree_together
from render_adapt._align.training import autocast, train_further, train_network
from render_adapt._config import available_cores
from render_adapt._exceptions import DatasetError
from render_adapt._pairs.posed_crops import read_posed_crops
from render_adapt._runs.manifest import read_manifest, refuse_changed_manifest
from render_adapt._train import TARGET_SHEET, FoundTarget, read_camera_crops
from renderer import PlanConfig, Randomization

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is, and how much there is."""

_NOT_DECISIVE = (
    "out", "target", "models", "photographs", "randomize", "max_minutes", "device", "threads",
    "checkpoint_every", "precision", "window", "centre", "off_axis", "distance", "objects", "units",
    "symmetry", "adapted", "channels", "depth_scale",
)  # fmt: skip
"""Settings that decide nothing, or stand in the description as what they lead to."""


@dataclass(frozen=True)
class _Task:
    """What is to be aligned, loaded."""

    config: AlignConfig
    models: list[CadModel]
    target: TargetCrops
    plan: PlanConfig
    threads: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(model.name for model in self.models)

    def source(self, randomization: Randomization) -> Source:
        """Renders of the objects, cut as the target's crops are."""
        config = self.config
        return Source(
            self.models, self.plan, randomization, config.seed, self.threads, config.objects,
            config.models,
        )  # fmt: skip

    @property
    def view(self) -> TargetView:
        """The target's crops as they are aligned."""
        images, plan = self.target.images, self.plan
        centre = self.target.centre_depth
        if centre is None:
            centre = np.full(len(images), float(np.mean(plan.distance)))
        depth = None
        if self.target.has_depth:
            relative = images[:, 3].astype(np.float32)
            depth = np.where(relative < FAR, plan.window * relative, np.float32(np.nan))
        return TargetView(
            rgb=decode(images[:, :3].astype(np.float32))[0], depth=depth,
            camera_matrix=nominal_cameras(centre, plan.window, plan.size), centre_depth=centre,
            numbers=np.arange(len(images)),
        )  # fmt: skip


def align(
    config: AlignConfig,
    on_progress: OnProgress | None = None,
    on_target: Callable[[FoundTarget], None] | None = None,
) -> AlignSummary:
    """Find what each unlabelled crop shows and how it lies, and write those that are sure.

    A network learns object coordinates from renders; perspective-n-point makes poses of what it
    says of the crops, render and compare betters them, and a confidence that was calibrated on
    renders with right and planted wrong poses leaves out those that are not to be trusted.

    Args:
        config: which crops, with which objects, and how.
        on_progress: called with what is being done (`rendering`, `training`, `calibrating`,
            `aligning`, `comparing crops`, `training on`), how much of it is done, and how much
            there is.
        on_target: called before anything else, with what was found to align.

    Returns:
        What was done. Where `max_minutes` were over before the network had learnt, nothing is
        aligned yet, and the same call goes on.

    Raises:
        RenderAdaptError: one sentence that says why.
    """
    show = on_progress or (lambda stage, done, total: None)
    task, found = _load(config)
    if on_target is not None:
        on_target(found)
    with only_training(config.working, "align.lock"), torch_of(config):
        cv2.setNumThreads(task.threads)
        source = task.source(config.randomization)
        alignment = _describe(task, source)
        before = finished_run(config.out, alignment)
        if before is not None:
            return _summary(config, before)
        network, steps = _learn(task, source, show)
        if steps < config.all_steps:
            return _unfinished(config, steps, len(task.target))
        outcome = _align(task, network, show)
    aligned = _counts(task, outcome)
    write_alignment(
        config.out,
        outcome.result,
        task.models,
        task.plan,
        config.seed,
        alignment,
        aligned,
        task.threads,
    )
    return _summary(config, aligned)


def _load(config: AlignConfig) -> tuple[_Task, FoundTarget]:
    """The models and the target, which is drawn into the training's folder."""
    models, target, found = read_camera_crops(config.as_training, config.size)
    threads = config.threads or available_cores()
    return _Task(config, models, target, config.plan(target.cut), threads), found


def _learn(task: _Task, source: Source, show: OnProgress) -> tuple[CoordinateNetwork, int]:
    """The network, and how many steps it has of all that it is to have."""
    config = task.config
    adapted = _adapted_crops(task)  # first, since it may have to be refused
    renders = source.dense(config.source_crops, lambda k, n: show("rendering", k, n))
    crops = (renders, *adapted)
    network, steps = train_network(
        crops, task.names, config, config.working, lambda k, n: show("training", k, n)
    )
    if steps < config.steps:
        return network, steps
    for number in range(1, config.rounds + 1):
        result = _align(task, network, show).result
        network, more = train_further(
            network, crops, sure_crops(result, task.models, task.threads), task.names, config,
            number, lambda k, n: show("training on", k, n),
        )  # fmt: skip
        steps += more
        if more < config.round_steps:
            break
    return network, steps


def _adapted_crops(task: _Task) -> tuple[DenseCrops, ...]:
    """What is learnt from beside renders, if there is some."""
    if task.config.adapted is None:
        return ()
    posed = read_posed_crops(task.config.adapted, task.models, task.config.size)
    return (dense_crops(posed, task.models, task.threads),)


@dataclass(frozen=True)
class _Outcome:
    """What an alignment found."""

    result: Result
    calibrated: Calibrated
    around: Mapping[str, float]
    """Of objects, the share of what is seen around them that is as other crops show it."""


def _align(task: _Task, network: CoordinateNetwork, show: OnProgress) -> _Outcome:
    config = task.config
    aligner = Aligner(
        network, task.models, autocast(config), config.device, config.size, task.threads,
        config.seed,
    )  # fmt: skip
    view = task.view
    has_depth = view.depth is not None
    calibrated = calibrate(
        aligner, task.source(harder(config.randomization, has_depth)), config.calibration_crops,
        has_depth, config.min_confidence, lambda k, n: show("calibrating", k, n),
    )  # fmt: skip
    found = aligner.align(view, lambda k: show("aligning", k, len(view)))
    around: Mapping[str, float] = {}
    if config.together:
        sure = calibrated.confidence.of(found.features) >= config.min_confidence
        found, around = agree_together(
            aligner, view, found, sure & found.found, task.plan.window,
            lambda k, n: show("comparing crops", k, n),
        )  # fmt: skip
    result = make_result(
        task.target.names, view, found, calibrated.confidence.of(found.features),
        config.min_confidence, task.models, aligner.search,
    )  # fmt: skip
    if not result.kept.any():
        raise DatasetError(
            f"none of the {len(result.names)} crops is aligned with a confidence of "
            f"{config.min_confidence:g} or more (the best has {result.confidence.max():.2f}): look "
            f"whether `objects` and `centre` are right in {config.working / TARGET_SHEET}, train "
            "with more `steps` (and another `out`), or give a lower `min_confidence`"
        )
    return _Outcome(result, calibrated, around)


def _describe(task: _Task, source: Source) -> dict[str, Any]:
    """All that decides what is written, but for the machine."""
    config, target = task.config, task.target
    settings = {k: v for k, v in asdict(config).items() if k not in _NOT_DECISIVE}
    # Alignments know no distractors; those that were begun before there were any go on.
    plan = {k: v for k, v in asdict(task.plan).items() if k != "distractors"}
    randomization = asdict(source.randomization)
    for name in ("photographs", "textures", "environments"):
        randomization[name] = randomization[name] and Path(randomization[name]).name
    return {
        **settings,
        "objects": {model.name: model.sha256 for model in task.models},
        "plan": plan,
        "randomization": randomization,
        "photographs": fingerprint_of(source.photographs),
        **_described_dataset(config.adapted),
        "target": fingerprint_of([target.images, target.centre_depth]),
    }


def _described_dataset(adapted: Path | None) -> dict[str, Any]:
    """What is learnt from beside renders, where there is some."""
    if adapted is None:
        return {}
    refuse_changed_manifest(adapted)
    return {"adapted": read_manifest(adapted)["config_sha256"]}


def _counts(task: _Task, outcome: _Outcome) -> dict[str, Any]:
    result, calibrated = outcome.result, outcome.calibrated
    kept = result.poses.object_index[result.kept]
    return {
        "by_object": {name: int((kept == k).sum()) for k, name in enumerate(task.names)},
        "crops": len(result.names),
        "kept": int(result.kept.sum()),
        "right": None if np.isnan(calibrated.right) else calibrated.right,
        "surroundings": {name: round(share, 4) for name, share in outcome.around.items()},
    }


def _summary(config: AlignConfig, aligned: Mapping[str, Any]) -> AlignSummary:
    right = aligned["right"]
    return AlignSummary(
        folder=config.out, trained=config.all_steps, steps=config.all_steps, crops=aligned["crops"],
        kept=aligned["kept"], by_object=dict(aligned["by_object"]),
        right=float("nan") if right is None else right,
        table=config.out / TABLE, contact_sheet=config.out / SHEET,
    )  # fmt: skip


def _unfinished(config: AlignConfig, steps: int, crops: int) -> AlignSummary:
    return AlignSummary(
        folder=config.out, trained=steps, steps=config.all_steps, crops=crops, kept=0, by_object={},
        right=float("nan"), table=config.out / TABLE, contact_sheet=config.out / SHEET,
    )  # fmt: skip
