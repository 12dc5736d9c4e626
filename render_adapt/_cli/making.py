"""What `render-adapt` does once it knows what is asked for, and what it says of that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adapter._target.report import counted
from render_adapt._cli.bars import CropsBar, rate_text, time_text
from render_adapt._cli.consoles import output
from render_adapt._cli.settings import in_flags
from render_adapt._cli.streams import CONTINUES, saying_when_interrupted
from render_adapt._config import RunConfig
from render_adapt._runs.description import config_of, where_files_are
from render_adapt._runs.estimate import Estimate, estimate_of, size_text
from render_adapt._runs.manifest import MANIFEST, read_manifest
from render_adapt._runs.own_models import own_models
from render_adapt._runs.pipeline import SHEET, RunSummary, generate, make_only, run_notes
from render_adapt._runs.studio import Studio
from render_adapt._stores.address import place_of
from renderer import PlanConfig


def make_dataset(config: RunConfig, quiet: bool, as_json: bool) -> None:
    """Make a run's dataset, and say what was made."""
    with saying_when_interrupted(lambda: CONTINUES), CropsBar(quiet) as show:
        summary = generate(config, show)
    if as_json:
        _print_json(summary)
    elif not quiet:
        _print_summary(summary)


def say_what_would_be_made(config: RunConfig, quiet: bool, as_json: bool) -> None:
    """Make the first crops, throw them away, and say what the whole would be."""
    studio = Studio(config)
    found = estimate_of(studio)
    if as_json:
        _print_json(found)
    elif not quiet:
        _print_estimate(found, studio)


def make_one_crop(only: int, settings: dict[str, Any]) -> None:
    """Make a crop of a run alone, beside the dataset."""
    out = place_of(settings.pop("out", RunConfig.out))
    models = None
    if isinstance(out, Path) and (out / MANIFEST).is_file():
        manifest = read_manifest(out)
        config = where_files_are(config_of(manifest, out, **settings), out)
        if not {"objects", "models"} & settings.keys():
            models = own_models(out, manifest)
    else:
        config = RunConfig(**{"objects": (), **settings, "out": out})
    folder = make_only(config, only, models)
    output.print(f"crop {only}: {folder}", soft_wrap=True)
    output.print(f"picture: {folder / SHEET}", soft_wrap=True)


def _print_json(facts: RunSummary | Estimate) -> None:
    output.print(json.dumps(vars(facts), default=str), soft_wrap=True)


def _print_estimate(found: Estimate, studio: Studio) -> None:
    config, planner = studio.config, studio.planner
    _, width, height = planner.camera
    names = ", ".join(model.name for model in studio.models)
    made = (
        f"{counted(config.n, planner.what)} of {width} x {height} pixels in "
        f"{counted(found.shards, 'shard')}"
    )
    output.print(in_flags(f"would make: {made}, as {', '.join(config.format)}"), soft_wrap=True)
    output.print(f"objects: {names}", soft_wrap=True)
    output.print(f"poses: {_poses(studio)}", soft_wrap=True)
    if found.crops_left < found.crops:
        output.print(f"of these, {found.crops - found.crops_left} are there already")
    free = "" if found.free_bytes is None else f" of {size_text(found.free_bytes)} that are free"
    room = f"{size_text(found.bytes)}{free}"
    output.print(f"size on disk: about {room}, in {config.out}", soft_wrap=True)
    workers, first = counted(config.workers, "worker"), counted(found.measured, planner.what)
    output.print(
        f"time: about {time_text(found.seconds)} with {workers}, as the first {first} took",
        soft_wrap=True,
    )
    for note in run_notes(studio):
        output.print(in_flags(f"note: {note}"), soft_wrap=True)


def _poses(studio: Studio) -> str:
    config, plan = studio.config, studio.planner.config
    nearest, farthest = config.distance
    near = f"{nearest:g} mm" if nearest == farthest else f"{nearest:g} to {farthest:g} mm"
    if isinstance(plan, PlanConfig) and plan.viewpoints == "so3":
        return f"any orientation, drawn for each crop, at {near}"
    if isinstance(plan, PlanConfig) and plan.in_plane_steps:
        return f"{plan.poses} of each object, one after the other, at {near}"
    return f"viewpoints on a hemisphere and turns drawn for each {studio.planner.what}, at {near}"


def _print_summary(summary: RunSummary) -> None:
    if summary.crops_made:
        rate = summary.crops_made / summary.seconds
        output.print(
            f"{counted(summary.crops_made, 'crop')} in {summary.seconds:.1f} s "
            f"({rate_text(rate)}), {size_text(summary.bytes)}"
        )
        spent = ", ".join(f"{stage} {s:.1f} s" for stage, s in summary.stage_seconds.items())
        output.print(f"time by stage, all workers: {spent}", style="dim")
    else:
        one = summary.crops == 1
        output.print(f"{'1 crop was' if one else f'all {summary.crops} crops were'} there already")
    if summary.redrawn or summary.dropped:
        output.print(
            f"label fidelity: {counted(summary.redrawn, 'crop')} adapted anew, {summary.dropped} "
            "left out"
        )
    for note in summary.notes:
        output.print(in_flags(f"note: {note}"), soft_wrap=True)
    output.print(f"dataset: {summary.folder}", soft_wrap=True)
    output.print(f"picture: {summary.contact_sheet}", soft_wrap=True)
    output.print(f"sha256: {summary.sha256}", style="dim")
