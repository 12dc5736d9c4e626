"""The command line: `render-adapt`, and its commands `verify`, `train`, `models list`,
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
from cad_models import available_models, load_models
from render_adapt._calibrate import calibrate_adapter
from render_adapt._config import PRESETS as RUN_PRESETS
from render_adapt._config import RunConfig, Units, split_names
from render_adapt._description import config_of
from render_adapt._exceptions import USER_ERRORS, ConfigError, DatasetError
from render_adapt._manifest import MANIFEST, read_manifest
from render_adapt._pipeline import SHEET, RunSummary, generate, make_only
from render_adapt._printable import printable
from render_adapt._train import TrainRun, train_adapter
from render_adapt._verify import Verification
from render_adapt._verify import repair as repair_dataset
from render_adapt._verify import verify as verify_dataset
from renderer import PlanConfig

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
        text = printable(f"render-adapt: {error}")
        _errors.print(text, style="red", markup=False, soft_wrap=True)
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
    *,
    preset: str = "default",
    only: int | None = None,
    settings: Annotated[_RunSettings, Parameter(name="*")] = None,
) -> None:
    """Make a labelled dataset of rendered and adapted crops.

    Parameters
    ----------
    preset
        Settings to start from: default, or linemod-paper, the 109,208 renders of 11 objects by
        Wohlhart & Lepetit's recipe (301 viewpoints in place of 1241 with --subdivisions 3).
    only
        Make this crop of the run alone, in this process and beside the dataset; where --out holds
        a run, its settings need not be given again.
    """
    if preset not in RUN_PRESETS:
        raise ConfigError(f"--preset is {preset}: it must be one of {', '.join(RUN_PRESETS)}")
    given = {**RUN_PRESETS[preset], **_given_settings(settings)}
    if only is not None:
        out = Path(given.pop("out", RunConfig.out))
        began = (out / MANIFEST).is_file()
        config = (
            config_of(read_manifest(out), out, **given)
            if began
            else RunConfig(**{"objects": (), **given, "out": out})
        )
        folder = make_only(config, only)
        _output.print(f"crop {only}: {folder}", soft_wrap=True)
        _output.print(f"picture: {folder / SHEET}", soft_wrap=True)
        return
    config = RunConfig(**{"objects": (), **given})
    with _CropsBar() as show:
        summary = generate(config, show)
    _print_summary(summary)


class _CropsBar:
    """A progress bar of crops, with their rate."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
            console=_errors, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("starting", total=None, rate="")
        self._at_start: int | None = None

    def __enter__(self) -> _CropsBar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def __call__(self, done: int, total: int) -> None:
        """Show that so many crops of all are done."""
        if self._at_start is None:
            self._at_start = done
        elapsed = self._progress.tasks[0].elapsed or 0.0
        made = done - self._at_start
        rate = f"{made / elapsed:.0f} crops/s" if made and elapsed else ""
        self._progress.update(
            self._task, description="crops", completed=done, total=total, rate=rate
        )


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
    if summary.redrawn or summary.dropped:
        _output.print(
            f"label fidelity: {summary.redrawn} crops were adapted anew, {summary.dropped} left out"
        )
    for note in summary.notes:
        _output.print(f"note: {note}", soft_wrap=True)
    _output.print(f"dataset: {summary.folder}", soft_wrap=True)
    _output.print(f"picture: {summary.contact_sheet}", soft_wrap=True)
    _output.print(f"sha256: {summary.sha256}", style="dim")


@app.command
def verify(
    folder: Path,
    /,
    *,
    repair: Annotated[bool, Parameter(negative=())] = False,
    workers: int | None = None,
) -> None:
    """Check that a dataset is what was written, file by file, and that its labels are true.

    Exit code 1 where they are not, with the first bad file.

    Parameters
    ----------
    folder
        The dataset's.
    repair
        Make bad shards anew, with the same bytes; paths in the run's settings are looked for from
        here.
    workers
        Processes side by side [default: all cores].
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers is {workers}: it must be at least 1")
    found = _verified(folder, workers)
    if found.bad and repair:
        _errors.print(f"mending {_bad_files(found)}", soft_wrap=True, markup=False)
        with _CropsBar() as show:
            repair_dataset(found, workers=workers, on_progress=show)
        found = _verified(folder, workers)
    if found.bad:
        mend = "" if repair else f"; render-adapt verify {folder} --repair makes them anew"
        raise DatasetError(f"{_bad_files(found)}{mend}")
    rate = found.crops / found.seconds
    _output.print(
        f"{found.crops} crops in {found.shards} shards are as they were written, and their labels "
        f"true ({rate:.0f} crops/s)",
        soft_wrap=True,
    )


def _verified(folder: Path, workers: int | None) -> Verification:
    with _CropsBar() as show:
        return verify_dataset(folder, workers=workers, on_progress=show)


def _bad_files(found: Verification) -> str:
    """The first bad file, and how many shards are bad."""
    first = found.bad[0]
    shards = sum(file.shard is not None for file in found.bad)
    return f"{first.path} {first.problem}; {shards} of {found.shards} shards are bad"


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
def calibrate(
    *,
    adapter: str,
    objects: tuple[str, ...],
    models: Path | None = None,
    units: Units | None = None,
    window: float = 200.0,
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
        A BOP models folder in place of the built-in models.
    units
        Unit of the mesh files, where it is not millimetres.
    window
        Side of the square that a crop shows at the object's distance, millimetres.
    crops
        Crops to make for it, 1000 or more.
    """
    loaded = load_models(split_names(objects), models=models, units=units)
    calibrate_adapter(adapter, loaded, PlanConfig(window=window), crops)
    _output.print(f"label fidelity is calibrated for {adapter}", soft_wrap=True)


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
    from render_adapt._report import write_report

    with _errors.status("drawing the report"):
        page = write_report(dataset, out, target=target, adapter=adapter)
    _output.print(f"report: {page}", soft_wrap=True)
