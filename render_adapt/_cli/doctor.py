"""`render-adapt doctor`: what works on this machine, and what to install for the rest."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.table import Table
from rich.text import Text

from checked_settings import RenderAdaptError
from render_adapt._cli.consoles import errors, output
from render_adapt._cli.settings import in_flags
from renderer import ENGINES, check_engine

_NEEDED = ("raster", "onnxruntime")
"""Without these no dataset can be made."""

_TORCH_CHECK = """
import torch
print(torch.cuda.is_available())
"""
_GPU_CHECK = """
import sys
from adapter import check_device, device_here
from checked_settings import RenderAdaptError
try:
    print(check_device(device_here("cuda")))
except RenderAdaptError as error:
    sys.exit(str(error))
"""
_ONNX_RUNTIME_CHECK = """
from adapter._runtime.onnx import import_onnx_runtime
print(", ".join(name.removesuffix("ExecutionProvider") for name in
                import_onnx_runtime().get_available_providers()))
"""
_FINDING_US = f"import sys; sys.path.append({str(Path(__file__).resolve().parents[2])!r})\n"
"""What begins code that is run without the working directory, where anything may lie."""
_SECONDS = 120


@dataclass(frozen=True)
class Finding:
    """One part of what this project can use."""

    part: str
    use: str
    """What it is for."""
    works: bool
    message: str
    """What was found, or one sentence on what to install."""


def doctor() -> None:
    """Say what works on this machine, and what to install for the rest.

    Exit code 1 where no dataset can be made.
    """
    with errors.status("looking"):
        findings = list(examine())
    output.print(show(findings))
    if not can_make_datasets(findings):
        sys.exit(1)


def examine() -> Iterator[Finding]:
    """Look at all parts side by side; each is tried in a process of its own.

    Yields:
        The engines, then the runtimes of adapters and trainings.
    """
    with ThreadPoolExecutor(len(ENGINES) + 2) as threads:
        # What takes longest first.
        torch_and_gpu = threads.submit(_examine_torch)
        engines = [threads.submit(_examine_engine, name) for name in ENGINES]
        onnx_runtime = threads.submit(_examine_onnx_runtime)
        for engine in engines:
            yield engine.result()
        yield onnx_runtime.result()
        yield from torch_and_gpu.result()


def show(findings: list[Finding]) -> Table:
    """The findings, a line or more each."""
    table = Table("part", "is for", "", "found", box=None)
    for column in table.columns:
        column.overflow = "fold"
    for finding in findings:
        mark = Text("works", "green") if finding.works else Text("missing", "yellow")
        table.add_row(finding.part, finding.use, mark, Text(in_flags(finding.message)))
    return table


def can_make_datasets(findings: list[Finding]) -> bool:
    """Whether the parts that every run needs work."""
    return all(finding.works for finding in findings if finding.part in _NEEDED)


def _examine_engine(name: str) -> Finding:
    try:
        use = ENGINES[name].use
    except RenderAdaptError as error:
        return Finding(name, "drawing", False, str(error))
    check = check_engine(name)
    return Finding(name, use, check.works, check.message)


def _examine_onnx_runtime() -> Finding:
    part, use = "onnxruntime", "adapting"
    code, words = _try_in_python(_ONNX_RUNTIME_CHECK)
    if code == 0:
        return Finding(part, use, True, f"{_version('onnxruntime')}, on {words}")
    return Finding(part, use, False, f"it cannot be imported ({words}): pip install onnxruntime")


def _examine_torch() -> tuple[Finding, Finding]:
    torch_use, gpu_use = "training", "training and adapting"
    if _version("torch") is None:
        install = "it is not installed: pip install 'render-adapt[train]'"
        return (
            Finding("torch", torch_use, False, install),
            Finding("CUDA", gpu_use, False, "torch, through which a GPU is used, is missing"),
        )
    code, words = _try_in_python(_TORCH_CHECK)
    if code != 0:
        broken = f"it fails ({words}): install it again for this machine's driver"
        return (
            Finding("torch", torch_use, False, broken),
            Finding("CUDA", gpu_use, False, "torch, through which a GPU is used, fails"),
        )
    torch = Finding("torch", torch_use, True, str(_version("torch")))
    if words == str(False):
        no_gpu = (
            "torch sees no GPU: nothing needs one; where there is one, install its driver and a "
            "torch built for CUDA"
        )
        return torch, Finding("CUDA", gpu_use, False, no_gpu)
    code, words = _try_in_python(_GPU_CHECK)
    return torch, Finding("CUDA", gpu_use, code == 0, words)


def _try_in_python(code: str) -> tuple[int, str]:
    """Run code in a fresh Python: its exit code, and the last line that it printed."""
    try:
        result = subprocess.run(
            [sys.executable, "-P", "-c", _FINDING_US + code],
            capture_output=True, text=True, timeout=_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 1, f"no answer in {_SECONDS} s"
    lines = (result.stdout if result.returncode == 0 else result.stderr).strip().splitlines()
    return result.returncode, lines[-1].strip() if lines else ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
