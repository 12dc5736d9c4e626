"""The command line: `render-adapt`, and its commands `train`, `models list`,
`reproduce` and `doctor`.

Exit codes: 0 done; 1 the input, the folder or the machine does not allow it (one sentence on
standard error); 2 the command line itself is wrong; 130 interrupted.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from cyclopts import App, Parameter
from docstring_parser import parse_from_object
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from adapter import PRESETS, TrainConfig
from adapter import Progress as TrainProgress
from cad_models import available_models
from render_adapt._config import PRESETS as RUN_PRESETS
from render_adapt._config import RunConfig
from render_adapt._exceptions import USER_ERRORS, ConfigError
from render_adapt._pipeline import RunSummary, generate
from render_adapt._train import TrainRun, train_adapter

_output = Console(highlight=False)
_errors = Console(stderr=True, highlight=False)

app = App(
    name="render-adapt",
    help="Make labelled crops that look like your camera's: render CAD models, adapt, write.",
    version=version("render-adapt"),
    default_parameter=Parameter(negative_iterable=()),
    suppress_keyboard_interrupt=False,
)
models_app = App(name="models", help="The objects that can be rendered.")
app.command(models_app)

_PAPER_NEEDS = ("torch", "h5py", "sklearn", "tensorboard")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, `sys.argv` by default.

    What the user can mend is one sentence and exit code 1, never a traceback.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app(sys.argv[1:] if arguments is None else list(arguments))
    except USER_ERRORS as error:
        _errors.print(f"render-adapt: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        _errors.print("render-adapt: interrupted; the same command continues", markup=False)
        sys.exit(130)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _optional_fields(kind: type[Any], defaults: str | None = None) -> Any:
    """A settings class with every field optional, so that what is not given is a preset's.

    Args:
        kind: the dataclass.
        defaults: what the help says about defaults; each field's own if not given.
    """
    documents = {param.arg_name: param.description for param in parse_from_object(kind).params}
    hints = get_type_hints(kind)
    optional: list[tuple[str, Any, Any]] = []
    for field in dataclasses.fields(kind):
        default = f"[default: {defaults}]" if defaults else _own_default(field)
        parameter = Parameter(help=f"{documents[field.name]} {default}", show_default=False)
        hint: Any = _ON_COMMAND_LINE.get(field.name, hints[field.name]) | None
        optional.append((field.name, Annotated[hint, parameter], None))
    # cyclopts reads the fields of classes that say which module they are from.
    named = {"__module__": __name__}
    return dataclasses.make_dataclass("Settings", optional, frozen=True, namespace=named)


_ON_COMMAND_LINE: dict[str, Any] = {"randomize": str}
"""Fields that Python takes as more than the command line does."""


def _own_default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        return "" if field.default_factory is dataclasses.MISSING else "[default: all cores]"
    if field.default is None or field.default == 0:
        return ""
    value = field.default
    return f"[default: {' '.join(map(str, value)) if isinstance(value, tuple) else value}]"


def _given_settings(settings: Any) -> dict[str, Any]:
    given = {} if settings is None else vars(settings)
    return {name: value for name, value in given.items() if value is not None}


_Settings: Any = _optional_fields(TrainConfig, "the preset's")
_RunSettings: Any = _optional_fields(RunConfig)


@app.default
def run(
    *, preset: str = "default", settings: Annotated[_RunSettings, Parameter(name="*")] = None
) -> None:
    """Make a labelled dataset of rendered and adapted crops.

    Parameters
    ----------
    preset
        Settings to start from: default, or linemod-paper, the 109,208 renders of 11 objects by
        Wohlhart & Lepetit's recipe (301 viewpoints in place of 1241 with --subdivisions 3).
    """
    if preset not in RUN_PRESETS:
        raise ConfigError(f"--preset is {preset}: it must be one of {', '.join(RUN_PRESETS)}")
    config = RunConfig(**{"objects": (), **RUN_PRESETS[preset], **_given_settings(settings)})
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=_errors, transient=True) as progress:
        task = progress.add_task("starting", total=config.n, rate="")
        at_start: list[int] = []

        def show(done: int, total: int) -> None:
            at_start.append(done)
            elapsed = progress.tasks[0].elapsed or 0.0
            made = done - at_start[0]
            rate = f"{made / elapsed:.0f} crops/s" if made and elapsed else ""
            progress.update(task, description="crops", completed=done, total=total, rate=rate)

        summary = generate(config, show)
    _print_summary(summary)


def _print_summary(summary: RunSummary) -> None:
    if summary.crops_made:
        rate = summary.crops_made / summary.seconds
        _output.print(
            f"{summary.crops_made} crops in {summary.seconds:.1f} s ({rate:.0f} crops/s), "
            f"{summary.bytes / 1e6:.1f} MB"
        )
        spent = ", ".join(f"{stage} {s:.1f} s" for stage, s in summary.stage_seconds.items())
        _output.print(f"time by stage, all workers: {spent}", style="dim")
    else:
        _output.print(f"all {summary.crops} crops were there already")
    for note in summary.notes:
        _output.print(f"note: {note}", soft_wrap=True)
    _output.print(f"dataset: {summary.folder}", soft_wrap=True)
    _output.print(f"picture: {summary.contact_sheet}", soft_wrap=True)


@app.command
def train(
    *,
    run: Annotated[TrainRun, Parameter(name="*")],
    preset: str = "fast",
    settings: Annotated[_Settings, Parameter(name="*")] = None,
) -> None:
    """Train an adapter on unlabelled crops of your camera.

    Parameters
    ----------
    preset
        Settings to start from: fast (for processors without a GPU), or the paper's linemod,
        linemod-masked, mnistm, usps.
    """
    if preset not in PRESETS:
        raise ConfigError(f"--preset is {preset}: it must be one of {', '.join(PRESETS)}")
    config = dataclasses.replace(PRESETS[preset], **_given_settings(settings))
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=_errors, transient=True) as progress:
        task = progress.add_task("rendering the source crops", total=config.steps)

        notes = {""}

        def show(state: TrainProgress) -> None:
            if state.note not in notes:
                notes.add(state.note)
                _errors.print(f"note: {state.note}", soft_wrap=True)
            losses = ", ".join(f"{name} {value:.3f}" for name, value in state.losses.items())
            line = f"step {state.step}: {losses}; {state.steps_per_second:.2f} steps/s"
            progress.update(task, description=line, completed=state.step, total=state.steps)
            # A log file has no progress bar.
            if not _errors.is_terminal and state.step % 100 == 0:
                _errors.print(line, soft_wrap=True)

        info = train_adapter(run, config, preset, show)
    _output.print(f"adapter: {run.out}, {info.steps} steps", soft_wrap=True)
    _output.print(f"use it with --adapter {run.out}", soft_wrap=True)


@app.command
def reproduce(
    what: str,
    *,
    preset: str = "cpu",
    seeds: int | None = None,
    max_minutes: float = 0.0,
    jobs: int | None = None,
    only: tuple[str, ...] = (),
    steps: int | None = None,
    device: str | None = None,
    data: Path | None = None,
    work: Path | None = None,
    out: Path | None = None,
    peer: Path | None = None,
) -> None:
    """Train and measure what a table of the PixelDA paper holds; the same command continues.

    Parameters
    ----------
    what
        table1 (digits), table2 (LineMod), table3 (backgrounds), table4 (unseen objects), table5
        (stability), table6 (semi-supervised), figures or timing.
    preset
        smoke (minutes), cpu (hours on two cores) or full (the paper's networks, on a GPU).
    seeds
        Trainings of each system [default: the table's own number].
    max_minutes
        Stop after this long, with checkpoints to continue from; 0 means no limit.
    jobs
        Trainings side by side [default: one per core; full: 1].
    only
        Train only those whose folder's name has this in it, such as mnist-usps/pixelda.
    steps
        Steps of each training, in place of the preset's.
    device
        cpu or cuda, in place of the preset's.
    data
        Folder with the digits and LINEMOD [default: RENDER_ADAPT_DATA, or ../shared/data].
    work
        Folder of the trainings [default: build/paper in the checkout].
    out
        Folder of the tables [default: benchmarks/results/paper in the checkout].
    peer
        timing: a checkout of eriklindernoren/PyTorch-GAN, whose networks are timed beside ours.
    """
    paper = _paper()
    settings = {"seeds": seeds, "only": ",".join(only), "steps": steps, "device": device}
    folders = {
        "data": data or os.environ.get("RENDER_ADAPT_DATA"),
        "work": work,
        "out": out,
        "peer": peer,
    }
    run = paper.ReproduceRun(
        what=what,
        preset=preset,
        seeds=seeds,
        max_minutes=max_minutes,
        jobs=jobs,
        only=tuple(part for given in only for part in given.split(",")),
        steps=steps,
        device=device,
        command=f"render-adapt reproduce {what} --preset {preset}{_given(settings)}",
        **{name: Path(folder) for name, folder in folders.items() if folder},
    )
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=_errors, transient=True) as progress:
        outcome = paper.reproduce(run, _JobLines(progress))
    for name, message in outcome.failed.items():
        _errors.print(f"failed: {name}: {message}", soft_wrap=True, markup=False)
    if outcome.unfinished:
        _output.print(f"{outcome.unfinished} trainings are unfinished; the same command continues")
    for file in outcome.files:
        _output.print(f"written: {file}", soft_wrap=True)


def _given(settings: Mapping[str, object]) -> str:
    """Settings as on a command line, without those that were not given."""
    return "".join(f" --{name} {value}" for name, value in settings.items() if value)


def _paper() -> Any:
    """`benchmarks.paper`, which is in the checkout and not in the installed packages."""
    checkout = Path(__file__).resolve().parents[1]
    if not (checkout / "benchmarks/paper/__init__.py").is_file():
        raise ConfigError(
            "reproduce runs from a checkout of the repository, and this is an installed package: "
            "install the checkout with pip install -e '.[train,paper]'"
        )
    # The script's own path does not hold the checkout's folder.
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    try:
        return importlib.import_module("benchmarks.paper")
    except ModuleNotFoundError as error:
        if error.name not in _PAPER_NEEDS:
            raise
        raise ConfigError(
            f"reproduce needs {error.name}; install the checkout with pip install -e "
            "'.[train,paper]'"
        ) from error


class _JobLines:
    """A line of progress for each training that runs; in a log file a line every minute."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.tasks: dict[Any, TaskID] = {}
        self.printed = time.monotonic()

    def __call__(self, running: Mapping[Any, Any], done: int, total: int) -> None:
        for job in [job for job in self.tasks if job not in running]:
            self.progress.remove_task(self.tasks.pop(job))
        lines = []
        for job, state in running.items():
            if job not in self.tasks:
                self.tasks[job] = self.progress.add_task("")
            losses = ", ".join(f"{name} {value:.2f}" for name, value in state.losses.items())
            line = f"{job.name}, step {state.step} of {state.steps}: {losses or 'starting'}"
            self.progress.update(
                self.tasks[job], description=line, completed=state.step, total=state.steps
            )
            lines.append(line)
        if not _errors.is_terminal and time.monotonic() - self.printed >= 60.0:
            self.printed = time.monotonic()
            for line in (f"{done} of {total} trainings are done", *lines):
                _errors.print(line, soft_wrap=True, markup=False)


@models_app.command(name="list")
def list_models(*, models: Path | None = None) -> None:
    """List the objects that --objects can name.

    Parameters
    ----------
    models
        A BOP models folder in place of the built-in models.
    """
    table = Table("name", "id", "diameter (mm)", "faces", "symmetric", box=None)
    for model in available_models(models):
        symmetric = "yes" if model.symmetric else ""
        table.add_row(
            model.name, str(model.object_id), f"{model.diameter:.1f}", str(model.faces), symmetric
        )
    _output.print(table)


@app.command
def doctor() -> None:
    """Say what works on this machine, and what to install for the rest.

    Exit code 1 where no dataset can be made.
    """
    from render_adapt._doctor import can_make_datasets, examine, show

    with _errors.status("looking"):
        findings = list(examine())
    _output.print(show(findings))
    if not can_make_datasets(findings):
        sys.exit(1)
