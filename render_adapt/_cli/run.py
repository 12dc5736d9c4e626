"""`render-adapt` itself: a labelled dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from checked_settings import SettingError, WrongValue, alternatives
from render_adapt._cli.bars import CropsBar, output, time_text
from render_adapt._cli.config_files import PRESET, read_config, write_config
from render_adapt._cli.settings import given_settings, in_flags, optional_fields
from render_adapt._cli.streams import CONTINUES, saying_when_interrupted
from render_adapt._config import PRESETS, RunConfig
from render_adapt._runs.description import config_of, where_files_are
from render_adapt._runs.estimate import Estimate, estimate_of, size_text
from render_adapt._runs.manifest import MANIFEST, read_manifest
from render_adapt._runs.own_models import own_models
from render_adapt._runs.pipeline import SHEET, RunSummary, generate, make_only, run_notes
from render_adapt._runs.studio import Studio
from render_adapt._stores.address import place_of
from renderer import PlanConfig

_RunSettings: Any = optional_fields(RunConfig)


def run(
    *,
    preset: str | None = None,
    config: Path | None = None,
    save_config: Path | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    only: int | None = None,
    quiet: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
    settings: Annotated[_RunSettings, Parameter(name="*")] = None,
) -> None:
    """Make a labelled dataset of rendered and adapted crops.

    Parameters
    ----------
    preset
        Settings to start from: default; linemod, crops cut as LINEMOD's camera crops are and as far
        off the camera's axis; or linemod-paper, the 109,208 renders of 11 objects by
        Wohlhart & Lepetit's recipe (301 viewpoints in place of 1241 with --subdivisions 3).
    config
        A TOML file of settings, named as here with _ for -, as in off_axis = 5.0; what is given
        beside it counts. `preset` may stand in it.
    save_config
        Write all settings that were given to such a file before anything is made.
    dry_run
        Say what would be made, its size and how long it takes, by making a few crops, and stop.
    only
        Make this crop of the run alone, in this process and beside the dataset; where --out holds
        a run, its settings need not be given again.
    quiet
        Print nothing but what goes wrong.
    json
        Print what was made, or would be, as one line of JSON.
    """
    run_settings = _all_settings(preset, config, given_settings(settings))
    if save_config is not None:
        write_config(save_config, run_settings)
    if only is not None:
        if dry_run:
            raise SettingError("`dry_run` is for the whole run: leave it out, or leave out `only`")
        _make_only(only, run_settings)
        return
    run_config = RunConfig(**{"objects": (), **run_settings})
    if dry_run:
        studio = Studio(run_config)
        found = estimate_of(studio)
        _print_json(found) if json else _print_estimate(found, studio, quiet)
        return
    with saying_when_interrupted(lambda: CONTINUES), CropsBar(quiet) as show:
        summary = generate(run_config, show)
    if json:
        _print_json(summary)
    elif not quiet:
        _print_summary(summary)


def _all_settings(preset: str | None, config: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """Settings of a run: a preset's, those of a file before these, what is given before all.

    Raises:
        SettingError: the file cannot be used, or a value is wrong that no `RunConfig` refuses.
    """
    from_file = {} if config is None else read_config(config)
    chosen = from_file.pop(PRESET, "default") if preset is None else preset
    from_file.pop(PRESET, None)
    if chosen not in PRESETS:
        raise WrongValue("preset", chosen, alternatives(PRESETS))
    settings = {**PRESETS[chosen], **from_file, **given}
    if settings.get("n") == 0:
        raise WrongValue("n", 0, "at least 1")
    return settings


def _make_only(only: int, settings: dict[str, Any]) -> None:
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


def _print_estimate(found: Estimate, studio: Studio, quiet: bool) -> None:
    if quiet:
        return
    config, planner = studio.config, studio.planner
    _, width, height = planner.camera
    names = ", ".join(model.name for model in studio.models)
    shards = f"{found.shards} shard{'s' if found.shards > 1 else ''}"
    made = f"{config.n} {planner.what}s of {width} x {height} pixels in {shards}"
    output.print(in_flags(f"would make: {made}, as {', '.join(config.format)}"), soft_wrap=True)
    output.print(f"objects: {names}", soft_wrap=True)
    output.print(f"poses: {_poses(studio)}", soft_wrap=True)
    if found.crops_left < found.crops:
        output.print(f"of these, {found.crops - found.crops_left} are there already")
    free = "" if found.free_bytes is None else f" of {size_text(found.free_bytes)} that are free"
    room = f"{size_text(found.bytes)}{free}"
    output.print(f"size on disk: about {room}, in {config.out}", soft_wrap=True)
    workers = f"{config.workers} worker{'s' if config.workers > 1 else ''}"
    output.print(
        f"time: about {time_text(found.seconds)} with {workers}, as the first {found.measured} "
        f"{planner.what}s took",
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
            f"{summary.crops_made} crops in {summary.seconds:.1f} s ({rate:.0f} crops/s), "
            f"{summary.bytes / 1e6:.1f} MB"
        )
        spent = ", ".join(f"{stage} {s:.1f} s" for stage, s in summary.stage_seconds.items())
        output.print(f"time by stage, all workers: {spent}", style="dim")
    else:
        output.print(f"all {summary.crops} crops were there already")
    if summary.redrawn or summary.dropped:
        output.print(
            f"label fidelity: {summary.redrawn} crops were adapted anew, {summary.dropped} left out"
        )
    for note in summary.notes:
        output.print(in_flags(f"note: {note}"), soft_wrap=True)
    output.print(f"dataset: {summary.folder}", soft_wrap=True)
    output.print(f"picture: {summary.contact_sheet}", soft_wrap=True)
    output.print(f"sha256: {summary.sha256}", style="dim")
