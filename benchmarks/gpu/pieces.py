"""What is done on a GPU: pieces of several steps, most valuable first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

OBJECTS = {"ape": 1, "benchvise": 2, "cam": 4, "cat": 6, "duck": 9}
"""LINEMOD's, of which there are real crops, with their numbers."""
LINEMOD = (
    *(f"linemod/models/obj_{number:06}.ply" for number in OBJECTS.values()),
    "linemod/models/models_info*",
    "linemod/camera.json",
    "linemod/frames/dpod/*/gt.yml",
    "linemod/crops/*/poses.json",
    "linemod/crops/train/*/*.png",
    "linemod/crops/test/*/*.png",
    "imagenet_samples/*.jpg",
)
"""Models, real crops, labels to test by, and photographs for backgrounds."""


@dataclass(frozen=True)
class Step:
    """One command of a piece."""

    name: str
    arguments: tuple[str, ...]
    """What to give Python. Names in braces stand for: {data} the folder with linemod/, {work} where
    trainings lie, {figures} where figures go, as JSON, {device} cuda or, in a rehearsal, cpu,
    {minutes} how long the step may take, and what `sizes` has."""
    minutes: float
    """How long it may take; then it is stopped."""
    sizes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Placeholders of its own: what they stand for on a GPU, and in a rehearsal."""
    after: tuple[str, ...] = ()
    """Steps of the same piece that must have succeeded before."""
    alone: bool = False
    """Whether nothing may run beside it: what times something."""
    needs_gpu: bool = False
    """Whether a rehearsal leaves it out."""
    finished: Callable[[Path], bool] | None = None
    """Whether it is done, asked with {work}, where that takes several calls; if not given, it is
    when it has once succeeded."""


@dataclass(frozen=True)
class Piece:
    """Steps that one call does."""

    title: str
    minutes: float
    """How long one call of it may take, packing and all."""
    steps: tuple[Step, ...]
    """Most valuable first: of those that can run, the first begins first."""
    data: tuple[str, ...] = ()
    """The files that it reads, as patterns below the data folder."""
    keep: tuple[str, ...] = ()
    """What is packed, most valuable first, as patterns below {work}: a folder is packed whole or
    not at all. Figures and logs are packed before."""
    at_once: int = 1
    """Steps beside each other, at most."""


TESTS = (
    "-m", "pytest", "tests/test_cuda.py", "tests/test_renderer_cuda.py", "tests/test_device.py",
    "--color=no", "-v",
)  # fmt: skip
"""Of the code that needs a GPU. Where packages are of other versions than ours, what they warn of
is no failure."""

MEASURED = Piece(
    "tests and throughput",
    minutes=3.0,
    steps=(
        Step(
            "ceilings",
            ("-m", "benchmarks.gpu.ceilings", "--device", "{device}", "--copy-gib", "{copy}",
             "--side", "{side}", "--json", "{figures}/ceilings.json"),
            minutes=0.7,
            sizes={"copy": ("4", "0.1"), "side": ("8192", "256")},
            alone=True,
        ),
        Step(
            "tests",
            (*TESTS, "-W", "default", "-n", "{processes}", "-k", "not emulated and not compile"),
            minutes=1.2,
            sizes={"processes": ("8", "1")},
        ),
        Step(
            "throughput",
            ("-m", "benchmarks.throughput", "--device", "{throughput}", "--precision", "auto",
             "--no-peers", "--n", "{crops}", "--growth", "{few}", "{many}", "--side", "{side}",
             "--copy-gib", "{copy}", "--json", "{figures}/throughput.json"),
            minutes=1.5,
            sizes={
                "throughput": ("cuda", "cpu"), "crops": ("1000", "16"), "few": ("1000", "4"),
                "many": ("10000", "8"), "side": ("8192", "256"), "copy": ("4", "0.02"),
            },
            alone=True,
        ),
        Step(
            "rasteriser",
            ("-m", "benchmarks.cuda_rendering", "--faces", "10000", "--json",
             "{figures}/rasteriser.json"),
            minutes=0.7,
            alone=True,
            needs_gpu=True,
        ),
        Step(
            "generator",
            ("-m", "benchmarks.gpu.generator", "--device", "{device}", "--batches", "{batches}",
             "--ceilings", "{figures}/ceilings.json", "--json", "{figures}/generator.json"),
            minutes=1.0,
            sizes={"batches": ("256,1024,4096", "8,16")},
            after=("ceilings",),
            alone=True,
        ),
        Step(
            "tests of compiled networks",
            (*TESTS, "-W", "default", "-n", "{processes}", "-k", "compile"),
            minutes=1.5,
            sizes={"processes": ("2", "1")},
        ),
    ),
)  # fmt: skip

OF_LINEMOD = ("--objects", ",".join(OBJECTS), "--models", "{data}/linemod/models")
ALIGNED, ADAPTER, CROPS = "{work}/aligned", "{work}/adapter", "{work}/crops"
FEW = {"steps": ("4000", "3"), "crops": ("24000", "600")}


def estimator(name: str, after: tuple[str, ...] = ()) -> Step:
    """One training of `benchmarks.real_crops`."""
    result = f"real_crops/pieces/{name.replace(':', '-')}/result.json"
    return Step(
        name.replace(":", " "),
        ("-m", "benchmarks.real_crops", "--data", "{data}", "--work", "{work}/real_crops", "--set",
         f"best={CROPS}", "--set", f"best_aligned={CROPS},{ALIGNED}", "--only", name, "--device",
         "{device}", "--threads", "2", "--steps", "{steps}", "--crops", "{crops}", "--out",
         "{work}/pages/" + name.replace(":", "_")),
        minutes=5.0, sizes=FEW, after=after,
        finished=lambda work: (work / result).exists(),
    )  # fmt: skip


TRAINED = Piece(
    "the adapter and what it is worth",
    minutes=9.0,
    steps=(
        Step(
            "align",
            ("-m", "render_adapt", "align", *OF_LINEMOD, "--photographs", "{data}/imagenet_samples",
             "--target", "{data}/linemod/crops/train", "--channels", "3", "--centre", "mean",
             "--window", "200", "--off-axis", "10", "--rounds", "1", "--steps", "{steps}",
             "--source-crops", "{crops}", "--device", "{device}", "--threads", "8",
             "--checkpoint-every", "1000", "--out", ALIGNED),
            minutes=6.0, sizes=FEW,
            finished=lambda work: (work / "aligned/dataset.sha256").exists(),
        ),
        estimator("dense:b:0"),
        estimator("dense:e:0"),
        Step(
            "adapter",
            ("-m", "render_adapt", "train", "--preset", "best", *OF_LINEMOD, "--target", ALIGNED,
             "--steps", "{train}", "--max-minutes", "{minutes}", "--device", "{device}",
             "--out", ADAPTER),
            minutes=4.5, sizes={"train": ("2000", "3")}, after=("align",),
            finished=lambda work: (work / "adapter/fidelity.json").exists(),
        ),
        Step(
            "crops",
            ("-m", "render_adapt", *OF_LINEMOD, "--adapter", ADAPTER, "--n", "{crops}", "--seed",
             "16", "--format", "bop-webdataset", "--out", CROPS),
            minutes=2.0, sizes=FEW, after=("adapter",),
            finished=lambda work: (work / "crops/dataset.sha256").exists(),
        ),
        estimator("dense:best:0", ("crops",)),
        estimator("dense:best_aligned:0", ("crops",)),
    ),
    data=LINEMOD,
    keep=("adapter", "aligned", "real_crops/pieces/*/result.json", "pages"),
    at_once=4,
)  # fmt: skip
"""Longer than one call, so that a second one may be needed."""

PIECES = (MEASURED, TRAINED)
