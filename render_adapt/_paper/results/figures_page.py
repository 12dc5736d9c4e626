"""The paper's figures of every PixelDA that has been trained, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapter import CHECKPOINT, Predict, checkpoint_step, load_generator
from checked_settings import SettingError
from render_adapt._paper.results.figures import write_figures
from render_adapt._paper.results.page import Provenance, write_page
from render_adapt._paper.results.tables import jobs_of, table
from render_adapt._paper.training.jobs import Job, Workplace
from render_adapt._paper.training.presets import NARROWER, PresetName
from render_adapt._paper.training.systems import predictors

_CAPTIONS = {
    "neighbours.png": "Figures 3 and 4: source, adapted, and the nearest real crop (pixels, L2).",
    "interpolation.png": "Supplement, figure 1: from one noise vector to another.",
    "samples.png": "Several noise vectors for each source crop.",
}


def pixelda_jobs(preset: PresetName) -> list[Job]:
    """The PixelDA trainings of Tables 1 to 3, first seed."""
    jobs = [job for name in ("table1", "table2", "table3") for job in _jobs(name, preset)]
    return [job for job in dict.fromkeys(jobs) if job.system == "pixelda"]


def _jobs(name: Any, preset: PresetName) -> list[Job]:
    return jobs_of(table(name, preset), preset, 1)


def write_pictures(
    preset: PresetName, place: Workplace, out: Path, provenance: Provenance
) -> tuple[Path, Path]:
    """Write the figures, and a page that shows them, of what has been trained so far.

    Returns:
        The page and the file with its numbers.

    Raises:
        SettingError: nothing has been trained yet.
    """
    # Several task networks may have one generator: its pictures are drawn once.
    generators = {_checkpoint(job, place): job for job in pixelda_jobs(preset)}
    trained = [job for checkpoint, job in generators.items() if checkpoint.exists()]
    if not trained:
        raise SettingError(
            f"no PixelDA has been trained with the preset {preset} yet: run render-adapt "
            f"reproduce table1 --preset {preset} first"
        )
    folder = out / f"figures-{preset}"
    entries = [_write_job(job, place, folder) for job in trained]
    content = {
        "preset": preset,
        "narrower than the paper": NARROWER[preset],
        **vars(provenance),
        "figures": entries,
    }
    return write_page(out, f"figures-{preset}", _page(preset, provenance, entries), content)


def _checkpoint(job: Job, place: Workplace) -> Path:
    """The generator's."""
    return place.stage_folder(job, place.stages(job)[0]) / CHECKPOINT


def _write_job(job: Job, place: Workplace, folder: Path) -> dict[str, Any]:
    checkpoint = _checkpoint(job, place)
    generator = load_generator(checkpoint)
    name = f"{job.scenario}-{job.variant}"
    numbers = write_figures(
        place.load_scenario(job.scenario),
        generator.adapt,
        generator.noise_dimension,
        _task_network(job, place),
        folder / name,
        job.seed,
    )
    steps = {"step": checkpoint_step(checkpoint), "steps": place.stages(job)[0].config.steps}
    return {"scenario": job.scenario, "variant": job.variant, **steps, "name": name, **numbers}


def _task_network(job: Job, place: Workplace) -> Predict | None:
    """What judges adapted crops; None where it comes after the generator and is not trained yet."""
    stage = place.stages(job)[-1]
    checkpoint = place.stage_folder(job, stage) / CHECKPOINT
    return predictors(stage, checkpoint)[0] if checkpoint.exists() else None


def _page(preset: PresetName, provenance: Provenance, entries: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"# Figures ({preset} preset)",
        "",
        f"`{provenance.command}`, {provenance.date}, commit {provenance.commit}. Less than in the "
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
