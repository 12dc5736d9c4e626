"""How the systems of the tables are trained on a scenario, and what their checkpoints predict."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter import (
    CoGanConfig,
    Evaluation,
    LabelledCrops,
    Predict,
    TrainConfig,
    evaluate,
    label_free_score,
    load_baseline,
    load_cogan,
    load_generator,
    load_task_tower,
    train,
    train_baseline,
    train_cogan,
)
from render_adapt._paper.scenarios.cache import cached_crops
from render_adapt._paper.scenarios.data_files import sha256_of_files
from render_adapt._paper.scenarios.scenario import Scenario
from render_adapt._paper.scenarios.subsets import (
    all_real_crops,
    joined,
    labelled_thousand,
    of_objects,
    only,
    take,
)
from render_adapt._paper.training.permutation import find_permutation
from render_adapt._paper.training.stages import Stage

SCORED = 1000
"""Target crops, and held-out source crops, that the label-free score is measured on."""

_NOISE = 60  # Random stream, beside the seed.
_PART = 1024  # adapted crops that are written at once
_BATCH = 64  # more is slower on a processor, whose caches it leaves


def train_stage(
    stage: Stage,
    scenario: Scenario,
    previous: Path | None,
    out: Path,
    on_progress: Callable[[Any], None],
    on_checkpoint: Callable[[Path], None],
) -> Path:
    """Train one stage of an experiment.

    Args:
        stage: what to train.
        scenario: on what.
        previous: the checkpoint of the stage before.
        out: folder of the training.
        on_progress, on_checkpoint: as `adapter.train` has them.

    Returns:
        The checkpoint.
    """
    crops = training_crops(stage, scenario, previous)
    settings: dict[str, Any] = {"on_progress": on_progress, "on_checkpoint": on_checkpoint}
    if isinstance(stage.config, CoGanConfig):
        return train_cogan(crops.source, crops.target, stage.config, out, **settings)
    settings["labelled_target"] = crops.labelled_target
    if isinstance(stage.config, TrainConfig):
        return train(crops.source, crops.target, stage.config, out, **settings)
    return train_baseline(crops.source, crops.target, stage.config, out, **settings)


@dataclass(frozen=True)
class TrainingCrops:
    """What a stage is trained on."""

    source: LabelledCrops
    target: NDArray[Any]
    labelled_target: LabelledCrops | None


def training_crops(stage: Stage, scenario: Scenario, previous: Path | None) -> TrainingCrops:
    """The part of a scenario that a stage may see."""
    if stage.objects:
        scenario = only(scenario, stage.objects)
    source, labelled = scenario.source, None
    if stage.adapted_source:
        assert previous is not None
        adapted = _adapted_once(previous, source)
        source = joined(source, adapted) if stage.with_source else adapted
    if stage.labelled == "all":
        labelled = scenario.target_train
    elif stage.labelled > 0:
        labelled = labelled_thousand(scenario, count=stage.labelled)
    if stage.labelled_alone:
        assert labelled is not None
        source, labelled = labelled, None
    return TrainingCrops(source, scenario.target, labelled)


def measure_stage(
    stage: Stage, checkpoint: Path, scenario: Scenario, previous: Path | None
) -> dict[str, Any]:
    """Figures of a checkpoint on the target's validation and test crops, and its label-free score.

    Args:
        stage: what was trained.
        checkpoint: what came of it.
        scenario: where to measure.
        previous: the checkpoint of the stage before.

    Returns:
        For each set of crops "SET_accuracy_percent", "SET_mean_angle_degrees" and so on, and
        "score".
    """
    device = stage.config.device
    on_target, on_source = predictors(stage, checkpoint)
    figures: dict[str, Any] = {}
    for name, crops in test_sets(stage, scenario).items():
        numbers = _numbers(evaluate(on_target, crops, device=device))
        figures |= {f"{name}_{key}": value for key, value in numbers.items()}
    validation = take(scenario.source_validation, _spread(len(scenario.source_validation)))
    if stage.adapted_source:
        assert previous is not None
        validation = adapt(previous, validation, seed=0)
    elif isinstance(stage.config, TrainConfig) and not stage.config.task_on_source:
        validation, on_source = adapt(checkpoint, validation, seed=0), on_target
    target = scenario.target[_spread(len(scenario.target))]
    scored = label_free_score(
        on_target, validation, target, predict_source=on_source, device=device
    )
    return _finite(figures | {"score": scored.score})


def _finite(figures: dict[str, Any]) -> dict[str, Any]:
    """None for what is not a number, which JSON cannot hold."""
    return {k: v if v is not None and math.isfinite(v) else None for k, v in figures.items()}


def _spread(n: int) -> NDArray[np.int64]:
    return np.linspace(0, n - 1, min(SCORED, n)).astype(np.int64)


def test_sets(stage: Stage, scenario: Scenario) -> dict[str, LabelledCrops]:
    """Sets of target crops to measure on, by name; "unseen" is every real crop of Table 4's."""
    sets = {"validation": scenario.target_validation, "test": scenario.target_test}
    if stage.unseen:
        sets["unseen"] = of_objects(all_real_crops(scenario), stage.unseen)
    return sets


def predictors(stage: Stage, checkpoint: Path) -> tuple[Predict, Predict]:
    """The task network of a checkpoint on target crops and on source crops."""
    device = stage.config.device
    if isinstance(stage.config, TrainConfig):
        tower = load_task_tower(checkpoint).to(device)
        return (lambda x: tower(x, 1)), (lambda x: tower(x, 0))
    if isinstance(stage.config, CoGanConfig):
        on_source, on_target = (load_cogan(checkpoint, domain=d, device=device) for d in (0, 1))
        return on_target, on_source
    predict = load_baseline(checkpoint, device)
    return predict, predict


def _adapted_once(checkpoint: Path, source: LabelledCrops) -> LabelledCrops:
    """The source as a checkpoint adapts it, kept beside that: it takes minutes on a processor."""

    def parts() -> Iterator[LabelledCrops]:
        for start in range(0, len(source), _PART):
            rows = np.arange(start, min(start + _PART, len(source)))
            yield adapt(checkpoint, take(source, rows), seed=start)

    recipe = {"checkpoint": sha256_of_files([checkpoint]), "class_names": source.class_names}
    return cached_crops(checkpoint.parent, "adapted", recipe, len(source), parts)


def adapt(checkpoint: Path, crops: LabelledCrops, *, seed: int) -> LabelledCrops:
    """The crops as the generator of a PixelDA training adapts them, each with its own noise."""
    generator = load_generator(checkpoint)
    images = np.empty(crops.images.shape, np.float16)
    for start in range(0, len(crops), _BATCH):
        x = crops.images[start : start + _BATCH].astype(np.float32)
        random = np.random.default_rng([seed, start, _NOISE])
        z = random.uniform(-1.0, 1.0, (len(x), generator.noise_dimension)).astype(np.float32)
        images[start : start + _BATCH] = generator.adapt(x, z)
    return dataclasses.replace(crops, images=images)


def _numbers(evaluation: Evaluation) -> dict[str, float | None]:
    """What of an evaluation goes into the history."""
    names = ("accuracy_percent", "mean_angle_degrees", "median_angle_degrees")
    relabelled = find_permutation(evaluation.confusion).relabelled_accuracy_percent
    return {name: getattr(evaluation, name) for name in names} | {
        "relabelled_accuracy_percent": relabelled
    }
