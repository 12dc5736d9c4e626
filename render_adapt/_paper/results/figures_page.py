"""The paper's figures of every PixelDA that has been trained, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapter import CHECKPOINT, Predict, checkpoint_step, load_generator
from checked_settings import SettingError
from render_adapt._paper.results.figures import write_figures
from render_adapt._paper.results.page import PageOrigin, write_page
from render_adapt._paper.results.tables import experiments_of, table
from render_adapt._paper.training.experiments import Experiment, Workplace
from render_adapt._paper.training.presets import NARROWER, PresetName
from render_adapt._paper.training.systems import predictors

_CAPTIONS = {
    "neighbours.png": "Figures 3 and 4: source, adapted, and the nearest real crop (pixels, L2).",
    "interpolation.png": "Supplement, figure 1: from one noise vector to another.",
    "samples.png": "Several noise vectors for each source crop.",
}


def pixelda_experiments(preset: PresetName) -> list[Experiment]:
    """The PixelDA trainings of Tables 1 to 3, first seed."""
    experiments = [
        experiment
        for name in ("table1", "table2", "table3")
        for experiment in _experiments(name, preset)
    ]
    return [
        experiment for experiment in dict.fromkeys(experiments) if experiment.system == "pixelda"
    ]


def _experiments(name: Any, preset: PresetName) -> list[Experiment]:
    return experiments_of(table(name, preset), preset, 1)


def write_pictures(
    preset: PresetName, place: Workplace, out: Path, origin: PageOrigin
) -> tuple[Path, Path]:
    """Write the figures, and a page that shows them, of what has been trained so far.

    Returns:
        The page and the file with its numbers.

    Raises:
        SettingError: nothing has been trained yet.
    """
    # Several task networks may have one generator: its pictures are drawn once.
    generators = {
        _checkpoint(experiment, place): experiment for experiment in pixelda_experiments(preset)
    }
    trained = [experiment for checkpoint, experiment in generators.items() if checkpoint.exists()]
    if not trained:
        raise SettingError(
            f"no PixelDA has been trained with the preset {preset} yet: run render-adapt "
            f"reproduce table1 --preset {preset} first"
        )
    folder = out / f"figures-{preset}"
    entries = [_write_experiment(experiment, place, folder) for experiment in trained]
    content = {
        "preset": preset,
        "narrower than the paper": NARROWER[preset],
        **vars(origin),
        "figures": entries,
    }
    return write_page(out, f"figures-{preset}", _page(preset, origin, entries), content)


def _checkpoint(experiment: Experiment, place: Workplace) -> Path:
    """The generator's."""
    return place.stage_folder(experiment, place.stages(experiment)[0]) / CHECKPOINT


def _write_experiment(experiment: Experiment, place: Workplace, folder: Path) -> dict[str, Any]:
    checkpoint = _checkpoint(experiment, place)
    generator = load_generator(checkpoint)
    name = f"{experiment.scenario}-{experiment.variant}"
    numbers = write_figures(
        place.load_scenario(experiment.scenario),
        generator.adapt,
        generator.noise_dimension,
        _task_network(experiment, place),
        folder / name,
        experiment.seed,
    )
    steps = {"step": checkpoint_step(checkpoint), "steps": place.stages(experiment)[0].config.steps}
    return {
        "scenario": experiment.scenario,
        "variant": experiment.variant,
        **steps,
        "name": name,
        **numbers,
    }


def _task_network(experiment: Experiment, place: Workplace) -> Predict | None:
    """What judges adapted crops; None where it comes after the generator and is not trained yet."""
    stage = place.stages(experiment)[-1]
    checkpoint = place.stage_folder(experiment, stage) / CHECKPOINT
    return predictors(stage, checkpoint)[0] if checkpoint.exists() else None


def _page(preset: PresetName, origin: PageOrigin, entries: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"# Figures ({preset} preset)",
        "",
        f"`{origin.command}`, {origin.date}, commit {origin.commit}. Less than in the "
        f"paper: {NARROWER[preset]}.",
        "",
    ]
    for entry in entries:
        lines += [
            f"## {entry['scenario']}, {entry['variant']}",
            "",
            f"After {entry['step']:,} of {entry['steps']:,} steps.",
            "",
        ]
        for file, caption in _CAPTIONS.items():
            lines += [caption, "", f"![{caption}](figures-{preset}/{entry['name']}/{file})", ""]
        for part in ("memorisation", "style_and_content"):
            lines += [_sentence(part, entry[part]), ""]
    return "\n".join(lines)


def _sentence(name: str, numbers: dict[str, Any]) -> str:
    """Figures as a sentence; those that do not exist for a scenario are left out."""
    parts = [
        f"{key.replace('_', ' ')} {value:.4g}"
        for key, value in numbers.items()
        if isinstance(value, int | float)
    ]
    return f"{name.replace('_', ' ').capitalize()}: {', '.join(parts)}."
