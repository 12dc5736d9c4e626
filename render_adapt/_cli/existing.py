"""`render-adapt adapt` and `crop`: BOP datasets that are there already."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from render_adapt._cli.bars import CropsBar
from render_adapt._cli.consoles import output
from render_adapt._cli.settings import in_flags
from render_adapt._cli.streams import CONTINUES, saying_when_interrupted
from render_adapt._existing.settings import AdaptConfig, AdaptSummary, CropConfig


def adapt(dataset: Path, /, *, config: Annotated[AdaptConfig, Parameter(name="*")]) -> None:
    """Adapt an existing BOP dataset: its pictures and depth; labels are carried over byte for byte.

    The same command continues.

    Parameters
    ----------
    dataset
        Folder with the dataset's splits, or one of them (scenes as in train_pbr/000000).
    """
    from render_adapt._existing.adapt import adapt_dataset

    with saying_when_interrupted(lambda: CONTINUES), CropsBar() as show:
        summary = adapt_dataset(dataset, config, show)
    _print_summary(summary)


def crop(dataset: Path, /, *, config: Annotated[CropConfig, Parameter(name="*")]) -> None:
    """Cut LineMod crops, one around each object, out of a BOP dataset's frames, with their labels.

    The same command continues.

    Parameters
    ----------
    dataset
        Folder with the dataset's splits, or one of them (scenes as in train_pbr/000000).
    """
    from render_adapt._existing.crop import crop_dataset

    with saying_when_interrupted(lambda: CONTINUES), CropsBar() as show:
        summary = crop_dataset(dataset, config, show)
    counts = ", ".join(f"{name} {count}" for name, count in summary.by_object.items())
    output.print(f"{summary.crops} crops: {counts}", soft_wrap=True)
    output.print(
        f"without a crop: {summary.beyond} objects whose window reaches over the frame's border, "
        f"{summary.hidden} that are hidden",
        soft_wrap=True,
    )
    output.print(f"dataset: {summary.folder}", soft_wrap=True)
    output.print(f"picture: {summary.contact_sheet}", soft_wrap=True)
    output.print(f"sha256: {summary.sha256}", style="dim")


def _print_summary(summary: AdaptSummary) -> None:
    if summary.images_made:
        rate = summary.images_made / summary.seconds
        output.print(
            f"{summary.images_made} images in {summary.seconds:.1f} s ({rate:.1f} images/s)"
        )
    else:
        output.print(f"all {summary.images} images were there already")
    output.print(
        f"{summary.objects} objects are seen: {summary.redrawn} were adapted anew, "
        f"{summary.left} left as they were",
        soft_wrap=True,
    )
    if math.isfinite(summary.fidelity):
        output.print(f"label fidelity: {summary.fidelity:.2g} in the median")
    if summary.unknown:
        output.print(
            f"note: the adapter did not learn from {', '.join(summary.unknown)}: look at what it "
            "made of them",
            soft_wrap=True,
        )
    if summary.note:
        output.print(in_flags(f"note: {summary.note}"), soft_wrap=True)
    output.print(f"dataset: {summary.folder}", soft_wrap=True)
    output.print(f"sha256: {summary.sha256}", style="dim")
