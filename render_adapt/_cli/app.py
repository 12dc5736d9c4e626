"""The command line: `render-adapt`, and its commands `verify`, `train`, `align`, `fit`,
`crop-target`, `adapt`, `crop`, `merge`, `models`, `adapters`, `presets`, `completion`, `reproduce`
and `doctor`.

Exit codes: 0 done; 1 the input, the folder or the machine does not allow it; 2 the command line is
wrong, or a setting in a file that it names (1 and 2 with one sentence on standard error); 130
interrupted; 141 nobody reads its output any more.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from rich.table import Table

from adapter import PRESETS, TrainConfig, adapter_folder, read_info, read_target
from cad_models import available_models
from checked_settings import RenderAdaptError, SettingError, WrongValue, alternatives
from render_adapt._cli.bars import TrainingBar, errors, output
from render_adapt._cli.completion import completion_command
from render_adapt._cli.examples import EXAMPLES
from render_adapt._cli.later import COMMANDS, register_later
from render_adapt._cli.mistakes import sentence
from render_adapt._cli.presets import presets_app
from render_adapt._cli.run import run
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
from render_adapt._config import Units, plan_as_learnt, split_names
from render_adapt._fidelity.calibrate import calibrate_adapter
from render_adapt._run_models import load_run_models, source_renderer
from render_adapt._train import FoundTarget, TrainRun, find_target, train_adapter
from render_adapt._verdict.measuring import judge_adapter
from render_adapt._verdict.words import paragraph

app = App(
    name="render-adapt",
    help="Make labelled crops that look like your camera's: render CAD models, adapt, write.",
    version=version("render-adapt"),
    default_parameter=Parameter(negative_iterable=()),
    help_epilogue=EXAMPLES["render-adapt"],
    suppress_keyboard_interrupt=False,
    config=refuse_fractions,
)
models_app = App(name="models", help="The objects that can be rendered.")
app.default(run)
completion_command(app)
app.command(models_app)
app.command(presets_app)
register_later(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, `sys.argv` by default.

    What the user can mend is one sentence, never a traceback.
    """
    interrupt_on_termination()
    for name in app:
        if not name.startswith("-") and name not in COMMANDS:
            # Else a command without examples would show those of the whole.
            app[name].help_epilogue = EXAMPLES.get(name, "")
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


@app.command
def train(
    *,
    run: Annotated[TrainRun, Parameter(name="*")],
    preset: str = "fast",
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    settings: Annotated[_Settings, Parameter(name="*")] = None,
) -> None:
    """Train an adapter on unlabelled crops of your camera.

    Says first what was found to learn from, and in the end what the adapter is worth.

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
        _print_found(find_target(run, config))
        return
    with saying_when_interrupted(lambda: _saved_so_far(run)), TrainingBar() as show:
        info = train_adapter(run, config, preset, show, _print_found, show.say)
    output.print(f"adapter: {run.out}, {info.steps} steps", soft_wrap=True)
    output.print(in_flags(f"verdict: {paragraph(info)}"), soft_wrap=True)
    output.print(f"use it with --adapter {run.out}", soft_wrap=True)


def _print_found(target: FoundTarget) -> None:
    print_target(target)
    output.print(f"target: {target.enough}", soft_wrap=True)


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
    target: Path | None = None,
) -> None:
    """Calibrate label fidelity for an adapter by its own crops; `train` does so by itself.

    With crops of the camera it also says what the adapter is worth beside them.

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
    target
        Crops of the camera, as for `train`.
    """
    names = split_names(objects)
    loaded = load_run_models(names, models, units)
    renderer = source_renderer(loaded, names, models)
    info = read_info(adapter_folder(adapter))
    plan = plan_as_learnt(info, window=window)
    if target is None:
        calibrate_adapter(adapter, loaded, plan, crops, renderer)
    else:
        real = read_target(target, size=info.size, channels=3)
        info = judge_adapter(adapter, loaded, plan, real.images, crops, renderer)
        output.print(in_flags(f"verdict: {paragraph(info)}"), soft_wrap=True)
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
