"""The command line: `render-adapt`, and its commands `verify`, `train`, `align`, `fit`,
`crop-target`, `adapt`, `crop`, `models`, `adapters`, `presets`, `reproduce` and `doctor`.

Exit codes: 0 done; 1 the input, the folder or the machine does not allow it; 2 the command line is
wrong, or a setting in a file that it names (1 and 2 with one sentence on standard error); 130
interrupted; 141 nobody reads its output any more.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from rich.table import Table

from adapter import PRESETS, TrainConfig, adapter_folder, read_info
from adapter import Progress as TrainProgress
from cad_models import available_models
from checked_settings import RenderAdaptError, SettingError, WrongValue, alternatives
from render_adapt._cli.adapters import adapters_app
from render_adapt._cli.align import align
from render_adapt._cli.bars import CropsBar, errors, output, steps_bar
from render_adapt._cli.crop_target import crop_target
from render_adapt._cli.existing import adapt, crop
from render_adapt._cli.fit import fit
from render_adapt._cli.mistakes import sentence
from render_adapt._cli.presets import presets_app
from render_adapt._cli.reproduce import reproduce
from render_adapt._cli.settings import given_settings, in_flags, optional_fields, refuse_fractions
from render_adapt._cli.streams import (
    CONTINUES,
    InterruptedCommand,
    ReaderGoneError,
    interrupt_on_termination,
    kept_streams,
    saying_when_interrupted,
)
from render_adapt._cli.target import print_target
from render_adapt._config import PRESETS as RUN_PRESETS
from render_adapt._config import RunConfig, Units, plan_as_learnt, split_names
from render_adapt._exceptions import DatasetError
from render_adapt._fidelity.calibrate import calibrate_adapter
from render_adapt._run_models import load_run_models, source_renderer
from render_adapt._runs.description import config_of, where_files_are
from render_adapt._runs.manifest import LISTING, MANIFEST, read_manifest
from render_adapt._runs.own_models import own_models
from render_adapt._runs.pipeline import SHEET, RunSummary, generate, make_only
from render_adapt._stores.address import StoreAddress, place_of
from render_adapt._train import TrainRun, find_target, train_adapter
from render_adapt._verify.verify import Verification
from render_adapt._verify.verify import repair as repair_dataset
from render_adapt._verify.verify import verify as verify_dataset

app = App(
    name="render-adapt",
    help="Make labelled crops that look like your camera's: render CAD models, adapt, write.",
    version=version("render-adapt"),
    default_parameter=Parameter(negative_iterable=()),
    suppress_keyboard_interrupt=False,
    config=refuse_fractions,
)
models_app = App(name="models", help="The objects that can be rendered.")
app.command(models_app)
app.command(adapt)
app.command(adapters_app)
app.command(presets_app)
app.command(align)
app.command(fit)
app.command(crop_target)
app.command(crop)
app.command(reproduce)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, `sys.argv` by default.

    What the user can mend is one sentence, never a traceback.
    """
    interrupt_on_termination()
    try:
        with kept_streams():
            app(
                sys.argv[1:] if arguments is None else list(arguments),
                exit_on_error=False,
                print_error=False,
            )
    except ReaderGoneError:
        sys.exit(141)
    except CycloptsError as error:
        _refuse(sentence(error), 2)
    except SettingError as error:
        _refuse(str(error), 2)
    except RenderAdaptError as error:
        _refuse(str(error), 1)
    except KeyboardInterrupt as interrupt:
        hint = f"; {interrupt}" if isinstance(interrupt, InterruptedCommand) else ""
        errors.print(f"render-adapt: interrupted{hint}", soft_wrap=True)
        sys.exit(130)


def _refuse(message: str, code: int) -> None:
    errors.print(in_flags(f"render-adapt: {message}"), style="red", soft_wrap=True)
    sys.exit(code)


_Settings: Any = optional_fields(TrainConfig, "the preset's")
_RunSettings: Any = optional_fields(RunConfig)


@app.default
def run(
    *,
    preset: str = "default",
    only: int | None = None,
    settings: Annotated[_RunSettings, Parameter(name="*")] = None,
) -> None:
    """Make a labelled dataset of rendered and adapted crops.

    Parameters
    ----------
    preset
        Settings to start from: default; linemod, crops cut as LINEMOD's camera crops are and as far
        off the camera's axis; or linemod-paper, the 109,208 renders of 11 objects by
        Wohlhart & Lepetit's recipe (301 viewpoints in place of 1241 with --subdivisions 3).
    only
        Make this crop of the run alone, in this process and beside the dataset; where --out holds
        a run, its settings need not be given again.
    """
    if preset not in RUN_PRESETS:
        raise WrongValue("preset", preset, alternatives(RUN_PRESETS))
    run_settings = {**RUN_PRESETS[preset], **given_settings(settings)}
    if run_settings.get("n") == 0:
        raise WrongValue("n", 0, "at least 1")
    if only is not None:
        out = place_of(run_settings.pop("out", RunConfig.out))
        models = None
        if isinstance(out, Path) and (out / MANIFEST).is_file():
            manifest = read_manifest(out)
            config = where_files_are(config_of(manifest, out, **run_settings), out)
            models = (
                None if {"objects", "models"} & run_settings.keys() else own_models(out, manifest)
            )
        else:
            config = RunConfig(**{"objects": (), **run_settings, "out": out})
        folder = make_only(config, only, models)
        output.print(f"crop {only}: {folder}", soft_wrap=True)
        output.print(f"picture: {folder / SHEET}", soft_wrap=True)
        return
    config = RunConfig(**{"objects": (), **run_settings})
    with saying_when_interrupted(lambda: CONTINUES), CropsBar() as show:
        summary = generate(config, show)
    _print_summary(summary)


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


@app.command
def verify(
    dataset: str,
    /,
    *,
    repair: Annotated[bool, Parameter(negative=())] = False,
    sha256: str | None = None,
    adapter: str | None = None,
    workers: int | None = None,
) -> None:
    """Check that a dataset is what was written, file by file, and that its labels are true.

    Exit code 1 where they are not, with the first bad file.

    Parameters
    ----------
    dataset
        Its folder, or its address in an object store.
    repair
        Make bad shards anew, with the same bytes, of the dataset's own models; other files that the
        run was made of are looked for by their names here and beside the dataset.
    sha256
        What the dataset's run printed under this name: proves that it is that very dataset.
    adapter
        Where the run's adapter is now, for --repair.
    workers
        Processes side by side [default: all cores].
    """
    if workers is not None and workers < 1:
        raise WrongValue("workers", workers, "at least 1")
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise WrongValue("sha256", sha256, "the 64 hexadecimal digits that the run printed")
    expected = sha256 and sha256.lower()
    folder = place_of(dataset)
    verification = _verified(folder, expected, workers)
    if verification.bad and repair:
        errors.print(f"mending {_bad_files(verification)}", soft_wrap=True)
        with CropsBar() as show:
            summary = repair_dataset(
                verification, adapter=adapter, workers=workers, on_progress=show
            )
        for note in summary.notes:
            output.print(in_flags(f"note: {note}"), soft_wrap=True)
        listed = all(file.path != folder / LISTING for file in verification.bad)
        if listed and verification.sha256 != summary.sha256:
            output.print(
                "note: what was made anew is not to the bit what was there, as with another "
                "version of render-adapt or its libraries: the dataset has another hash now",
                soft_wrap=True,
            )
        verification = _verified(folder, expected, workers)
    if verification.bad:
        can_mend = not (
            repair or verification.carried_over or all(f.unlisted for f in verification.bad)
        )
        mend = f"; render-adapt verify {folder} --repair makes them anew" if can_mend else ""
        raise DatasetError(f"{_bad_files(verification)}{mend}")
    output.print(_found(verification), soft_wrap=True)
    output.print(f"sha256: {verification.sha256}", style="dim")


def _found(verification: Verification) -> str:
    """What is in order."""
    crops, shards = verification.crops, verification.shards
    if verification.carried_over:
        return f"{crops} images in {shards} scenes are as they were written"
    rate = crops / verification.seconds
    return (
        f"{crops} crops in {shards} shards are as they were written, and their labels true "
        f"({rate:.0f} crops/s)"
    )


def _verified(folder: Path | StoreAddress, sha256: str | None, workers: int | None) -> Verification:
    with CropsBar() as show:
        return verify_dataset(folder, sha256=sha256, workers=workers, on_progress=show)


def _bad_files(verification: Verification) -> str:
    """The first bad file, and how many shards are bad."""
    first = verification.bad[0]
    shards = sum(file.shard is not None for file in verification.bad)
    return f"{first.path} {first.problem}; {shards} of {verification.shards} shards are bad"


@app.command
def train(
    *,
    run: Annotated[TrainRun, Parameter(name="*")],
    preset: str = "fast",
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    settings: Annotated[_Settings, Parameter(name="*")] = None,
) -> None:
    """Train an adapter on unlabelled crops of your camera.

    Says first what was found to learn from.

    Parameters
    ----------
    preset
        Settings to start from: fast (for processors without a GPU); best (for what `render-adapt
        align` wrote of the camera's crops, docs/best.md); or the paper's linemod, linemod-masked,
        mnistm, usps.
    dry_run
        Say what there is to learn from, draw it, and stop.
    """
    if preset not in PRESETS:
        raise WrongValue("preset", preset, alternatives(PRESETS))
    config = dataclasses.replace(PRESETS[preset], **given_settings(settings))
    if dry_run:
        print_target(find_target(run, config))
        return
    with saying_when_interrupted(lambda: _saved_so_far(run)), steps_bar() as progress:
        task = progress.add_task("rendering the source crops", total=config.steps)

        notes = {""}

        def show(state: TrainProgress) -> None:
            if state.note not in notes:
                notes.add(state.note)
                errors.print(in_flags(f"note: {state.note}"), soft_wrap=True)
            losses = ", ".join(f"{name} {value:.3f}" for name, value in state.losses.items())
            line = f"step {state.step}: {losses}; {state.steps_per_second:.2f} steps/s"
            progress.update(task, description=line, completed=state.step, total=state.steps)
            # A log file has no progress bar.
            if not errors.is_terminal and state.step % 100 == 0:
                errors.print(line, soft_wrap=True)

        info = train_adapter(run, config, preset, show, print_target)
    output.print(f"adapter: {run.out}, {info.steps} steps", soft_wrap=True)
    output.print(f"use it with --adapter {run.out}", soft_wrap=True)


def _saved_so_far(run: TrainRun) -> str:
    return CONTINUES if run.has_saved else "nothing was saved yet"


@app.command
def calibrate(
    *,
    adapter: str,
    objects: tuple[str, ...],
    models: Path | None = None,
    units: Units | None = None,
    window: float | None = None,
    crops: int = 4000,
) -> None:
    """Calibrate label fidelity for an adapter by its own crops; `train` does so by itself.

    Parameters
    ----------
    adapter
        Folder of a trained adapter.
    objects
        Objects that it was trained for: names, or NAME=FILE for a mesh of your own.
    models
        A BOP models folder, or a .blend file, in place of the built-in models.
    units
        Unit of the mesh files, where it is not millimetres.
    window
        Side of the square that a crop shows at the object's distance, millimetres [default: the
        adapter's own].
    crops
        Crops to make for it, 1000 or more.
    """
    names = split_names(objects)
    loaded = load_run_models(names, models, units)
    renderer = source_renderer(loaded, names, models)
    info = read_info(adapter_folder(adapter))
    calibrate_adapter(adapter, loaded, plan_as_learnt(info, window=window), crops, renderer)
    output.print(f"label fidelity is calibrated for {adapter}", soft_wrap=True)


@models_app.command(name="list")
def list_models(*, models: Path | None = None, units: Units | None = None) -> None:
    """List the objects that --objects can name.

    Parameters
    ----------
    models
        A BOP models folder in place of the built-in models.
    units
        Unit of the folder, where it is not millimetres.
    """
    table = Table("name", "id", "diameter (mm)", "faces", "symmetric", box=None)
    for model in available_models(models, units):
        symmetric = "yes" if model.symmetric else ""
        table.add_row(
            model.name, str(model.object_id), f"{model.diameter:.1f}", str(model.faces), symmetric
        )
    output.print(table)


@app.command
def doctor() -> None:
    """Say what works on this machine, and what to install for the rest.

    Exit code 1 where no dataset can be made.
    """
    from render_adapt._cli.doctor import can_make_datasets, examine, show

    with errors.status("looking"):
        findings = list(examine())
    output.print(show(findings))
    if not can_make_datasets(findings):
        sys.exit(1)


@app.command
def report(
    dataset: Path,
    *,
    out: Path | None = None,
    target: Path | None = None,
    adapter: Path | None = None,
) -> None:
    """Write one HTML page about a dataset: counts, views, fidelity, examples.

    Parameters
    ----------
    dataset
        The folder that --out made.
    out
        The file to write [default: report.html in the dataset's folder].
    target
        Real crops, as for train: the nearest one is shown beside each crop.
    adapter
        The adapter's folder, for its card, where it is not the one that comes with the package.
    """
    from render_adapt._report.page import write_report

    with errors.status("drawing the report"):
        page = write_report(dataset, out, target=target, adapter=adapter)
    output.print(f"report: {page}", soft_wrap=True)
