"""Work for a user interface, in a process of its own: `python -m render_adapt.jobs JOB.json`.

Also what Blender's background process runs (`blender_addon`). The process tells how it goes on
standard output, as lines of JSON that `decode_message` reads; it stops when its standard input
ends.

Exit codes: 0 done; 1 it cannot be done, and the last message says why; 130 it was stopped.
"""

from __future__ import annotations

import _thread
import dataclasses
import importlib.util
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

if __name__ == "__main__":
    from render_adapt._own_packages import leave_working_directory, refuse_hidden

    leave_working_directory()
    refuse_hidden()

from checked_settings import (
    MissingDependency,
    RenderAdaptError,
    WrongValue,
    alternatives,
    fitted_to,
)
from render_adapt._config import RunConfig
from render_adapt._jobs.dataset_check import DatasetCheck, check_dataset
from render_adapt._jobs.messages import (
    Checked,
    Failed,
    Generated,
    Generating,
    Job,
    Learned,
    Learning,
    Message,
    Preview,
    Target,
    Verified,
    Working,
    decode_message,
    encode_message,
    read_job,
    write_job,
)
from render_adapt._jobs.meter import EVERY, CropsMeter
from render_adapt._runs.pipeline import generate, run_notes
from render_adapt._runs.run_folder import sweep_held
from render_adapt._runs.studio import Studio

__all__ = [
    "Checked",
    "Failed",
    "Generated",
    "Generating",
    "Job",
    "Learned",
    "Learning",
    "Message",
    "Preview",
    "Target",
    "Verified",
    "Working",
    "decode_message",
    "encode_message",
    "main",
    "read_job",
    "write_job",
]

_PATIENCE = 1.0
"""Seconds in which a job that is to stop may tidy up by itself."""


def main(job_file: str) -> None:
    """Do a job, and end the process: an interpreter with Blender in it may hang on its way out."""
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Whatever Blender and libraries print from here on goes where errors go.
    os.dup2(2, 1)

    def tell(message: Message) -> None:
        messages.write(encode_message(message) + "\n")
        messages.flush()

    code, stopping = 1, threading.Event()
    try:
        job = read_job(Path(job_file))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=_stop_with_input, args=(stopping,), daemon=True).start()
        _WORK[job.kind](job, tell)
        code = 0
    except RenderAdaptError as error:
        tell(Failed(str(error)))
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        import traceback

        traceback.print_exc()
        if not stopping.is_set():
            tell(Failed(f"The job failed ({type(error).__name__}: {error}): its log says where."))
    finally:
        sys.stderr.flush()
        # A library may make another error of the interruption that it was stopped by.
        os._exit(130 if code and stopping.is_set() else code)


def _stop_with_input(stopping: threading.Event) -> None:
    """End the process when whoever asked for the job closes its input, or is gone."""
    while os.read(0, 1024):
        pass
    stopping.set()
    _thread.interrupt_main()
    time.sleep(_PATIENCE)
    # In the midst of something long. What is finished counts, what is not goes, but never what
    # another run is at.
    sweep_held()
    os._exit(130)


def _generate(job: Job, tell: Callable[[Message], None]) -> None:
    config = _run_config(job)
    tell(Working("Reading the objects"))
    summary = generate(config, CropsMeter(tell))
    tell(
        Generated(
            folder=str(summary.folder), crops=summary.crops, redrawn=summary.redrawn,
            dropped=summary.dropped, seconds=summary.seconds,
            stage_seconds=summary.stage_seconds, contact_sheet=str(summary.contact_sheet),
            notes=list(summary.notes), sha256=summary.sha256,
        )
    )  # fmt: skip


def _preview(job: Job, tell: Callable[[Message], None]) -> None:
    started = time.perf_counter()
    tell(Working("Reading the objects"))
    studio = Studio(_run_config(job))
    tell(Working("Rendering and adapting"))
    studio.write_contact_sheet(Path(job.picture), 0, job.crops)
    crop_count = min(job.crops, studio.config.n)
    seconds = time.perf_counter() - started
    tell(Preview(job.picture, crop_count, seconds, list(run_notes(studio))))


def _run_config(job: Job) -> RunConfig:
    settings = dict(job.settings)
    if "bpy" in sys.modules:
        # Blender draws in this process: there is no second one that could.
        settings["workers"] = 1
    return RunConfig(**fitted_to(RunConfig, settings))


def _learn(job: Job, tell: Callable[[Message], None]) -> None:
    _need_torch()
    from adapter import PRESETS, TrainConfig
    from adapter import Progress as TrainProgress
    from render_adapt._train import FoundTarget, TrainRun, train_adapter
    from render_adapt._verdict.words import paragraph

    settings = dict(job.settings)
    preset = settings.pop("preset", "fast")
    if preset not in PRESETS:
        raise WrongValue("preset", preset, alternatives(PRESETS))
    of_run = {field.name for field in dataclasses.fields(TrainRun)}
    run_settings = {name: settings.pop(name) for name in of_run & settings.keys()}
    run = TrainRun(**fitted_to(TrainRun, run_settings))
    config = dataclasses.replace(PRESETS[preset], **fitted_to(TrainConfig, settings))
    told_at, renewed = 0.0, None

    def show(state: TrainProgress) -> None:
        nonlocal told_at, renewed
        renewed = state.picture or renewed
        if state.step < state.steps and time.perf_counter() - told_at < EVERY:
            return
        told_at, picture, renewed = time.perf_counter(), renewed, None
        tell(
            Learning(
                state.step, state.steps, state.losses, state.steps_per_second,
                state.seconds_left, picture and str(picture),
            )
        )  # fmt: skip

    def tell_target(target: FoundTarget) -> None:
        report = target.report
        tell(
            Target(report.crops, report.with_depth, list(report.lines()), str(target.contact_sheet))
        )

    def tell_stage(line: str) -> None:
        tell(Working(line[:1].upper() + line[1:]))

    tell(Working("Reading the camera's crops"))
    info = train_adapter(run, config, preset, show, tell_target, tell_stage)
    tell(Learned(str(run.out), info.steps, paragraph(info)))


def _need_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        use = f"learning with {sys.executable}"
        raise MissingDependency(use, "torch", "'render-adapt[train]'")


def _verify(job: Job, tell: Callable[[Message], None]) -> None:
    tell(check_dataset(DatasetCheck(**fitted_to(DatasetCheck, job.settings)), tell))


def _check(job: Job, tell: Callable[[Message], None]) -> None:
    torch_version = gpu = None
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch_version = str(torch.__version__)
        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    tell(Checked(version("render-adapt"), platform.python_version(), torch_version, gpu))


_WORK: dict[str, Callable[[Job, Callable[[Message], None]], None]] = {
    "generate": _generate,
    "preview": _preview,
    "learn": _learn,
    "verify": _verify,
    "check": _check,
}


if __name__ == "__main__":
    main(sys.argv[1])
