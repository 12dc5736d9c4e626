"""Which trainings make a system: one, or a generator and then a task network."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from adapter import BaselineConfig, CoGanConfig, TrainConfig
from render_adapt._paper.training.presets import (
    MAIN,
    PresetName,
    base_recipe,
    baseline,
    cogan,
    is_digits,
    pixelda,
)

LABELLED = 1000
"""Target crops with labels in semi-supervised training (section 4.5)."""
SEEN = ("ape", "benchvise", "cat")
UNSEEN = ("cam", "duck")
"""Table 4: the objects that the generator is trained on, and the others. The paper has six and
five; its unseen ones include cam, and of the rest there are no real crops at hand."""

_BRIEF_VARIANTS = ("adapted-only", "source-and-adapted", "with-content")
"""Variants of Table 5's rows on LineMod, which `cpu` trains for a third of the length."""

_CROPS_SETTINGS = ("labelled", "labelled_alone", "objects", "adapted_source", "with_source")


@dataclass(frozen=True)
class Stage:
    """One training of an experiment."""

    name: str
    """Its folder."""
    config: TrainConfig | BaselineConfig | CoGanConfig
    """`TrainConfig`, `BaselineConfig` or `CoGanConfig`, by which it is known who trains it."""
    labelled: int | Literal["all"] = 0
    """Target crops that come with labels."""
    labelled_alone: bool = False
    """Train on these crops in place of the source."""
    objects: tuple[str, ...] = ()
    """Objects that it is trained on; empty means all."""
    unseen: tuple[str, ...] = ()
    """Objects whose real crops are measured beside the test crops."""
    adapted_source: bool = False
    """Train on the source as the stage before adapts it."""
    with_source: bool = False
    """Train on the source as it is, beside the adapted one."""
    shared: bool = False
    """Train it once for all experiments that begin with the same stage."""

    def changed(self, **settings: Any) -> Stage:
        """The same with other settings, of which those that it does not have are left out."""
        fields = {field.name for field in dataclasses.fields(self.config)}
        changes = {name: value for name, value in settings.items() if name in fields}
        late = getattr(self.config, "alignment_from_step", 0)
        if late >= changes.get("steps", math.inf):
            changes["alignment_from_step"] = changes["steps"] // 10
        return replace(self, config=replace(self.config, **changes))

    def settings(self, *, without: frozenset[str]) -> dict[str, Any]:
        """What decides what it learns."""
        crops = {name: getattr(self, name) for name in _CROPS_SETTINGS}
        config = dataclasses.asdict(self.config)
        return {name: v for name, v in (config | crops).items() if name not in without}


def _apart(system: str, scenario: str, preset: PresetName, variant: str) -> tuple[Stage, ...]:
    """A generator, then a task network on what it makes of the source.

    Where the task loss has no weight in the generator step, as in all of the paper's LineMod
    experiments, the generator never knows of the task network: one generator serves many.
    """
    config = pixelda(scenario, preset, variant)
    task = baseline(
        "source-only", scenario, preset, "paper-era" if variant == "paper-tower" else "modern"
    )
    unseen = system == "pixelda-unseen-objects"
    name = "generator" if config.similarity_weight > 0 else "generator-without-content"
    if unseen:
        name += f"-of-{len(SEEN)}-objects"
    if preset == "cpu" and variant in _BRIEF_VARIANTS:
        # Many seeds of a shorter training say more about stability than few of a longer one.
        name += "-brief"
        config = replace(config, steps=config.steps // 3)
        task = replace(task, steps=task.steps // 2, checkpoint_every=task.checkpoint_every // 2)
    return (
        Stage(name, config, objects=SEEN if unseen else (), shared=True),
        Stage(
            "task",
            task,
            adapted_source=True,
            with_source=variant in ("source-and-adapted", "with-content"),
            labelled=LABELLED if system == "pixelda+1000" else 0,
            unseen=UNSEEN if unseen else (),
        ),
    )


def stages(system: str, scenario: str, preset: PresetName, variant: str) -> tuple[Stage, ...]:
    """The trainings that make a system."""
    modern = base_recipe(variant, preset) == "modern"
    if system.startswith("pixelda") and not is_digits(scenario) and modern:
        return _apart(system, scenario, preset, variant)
    if system == "pixelda":
        return (Stage("pixelda", pixelda(scenario, preset, variant)),)
    if system == "pixelda+1000":
        return (Stage("pixelda", pixelda(scenario, preset, variant), labelled=LABELLED),)
    if system in ("pixelda-task-after", "pixelda-unseen-objects"):
        config = pixelda(scenario, preset, variant)
        unseen = system == "pixelda-unseen-objects"
        if not unseen:
            config = replace(
                config, task="none", task_weight_in_generator=0.0, similarity_weight=0.0
            )
        task = baseline("source-only", scenario, preset, "paper-era")
        return (
            Stage("generator", config, objects=SEEN if unseen else ()),
            Stage("task", task, adapted_source=True, unseen=UNSEEN if unseen else ()),
        )
    if system == "cogan":
        return (Stage("cogan", cogan(scenario, preset, variant)),)
    if system == "1000-only":
        task = baseline("target-only", scenario, preset, variant)
        return (Stage("task", task, labelled=LABELLED, labelled_alone=True),)
    if system == "synth+1000":
        task = baseline("source-only", scenario, preset, variant)
        return (Stage("task", task, labelled=LABELLED),)
    task = baseline(system, scenario, preset, variant)
    if system == "target-only":
        return (Stage("task", task, labelled="all", labelled_alone=True),)
    return (Stage("task", task),)


def canonical(system: str, scenario: str, preset: PresetName, variant: str) -> tuple[str, str]:
    """The system and variant under which trainings that have several names are run, once."""
    planned = stages(system, scenario, preset, variant)
    names = [(system, MAIN[preset])]
    if system == "pixelda-task-after":
        names.append(("pixelda", variant))
    for name in names:
        if stages(name[0], scenario, preset, name[1]) == planned:
            return name
    return system, variant
