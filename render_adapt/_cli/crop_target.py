"""`render-adapt crop-target`: crops to train on out of a camera's frames."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from adapter._target.report import counted
from render_adapt._cli.consoles import errors, output
from render_adapt._cli.settings import Flag, in_flags
from render_adapt._printable import printable
from render_adapt._target_crops.settings import CropTargetConfig


def crop_target(
    *,
    config: Annotated[CropTargetConfig, Parameter(name="*")],
    dry_run: Flag = False,
) -> None:
    """Cut unlabelled crops to train on out of whole frames of your camera.

    Writes a folder for `--target`, and a picture of it beside the folder.

    Parameters
    ----------
    dry_run
        Say what there is to cut, draw it, and write no crops.
    """
    from render_adapt._target_crops.run import crop_target as cut_crops

    with errors.status("cutting"):
        summary = cut_crops(config, dry_run=dry_run)
    for line in summary.report.lines():
        output.print(in_flags(line), soft_wrap=True)
    output.print(f"frames: {summary.frames:,}", soft_wrap=True)
    for title, counts in (("source", summary.by_source), ("object", summary.by_object)):
        for name, count in counts.items():
            output.print(printable(f"{title} {name}: {counted(count, 'crop')}"), soft_wrap=True)
    output.print(printable(f"picture: {summary.contact_sheet}"), soft_wrap=True)
    if not dry_run:
        output.print(printable(f"crops: {summary.folder}"), soft_wrap=True)
        output.print(printable(f"train with --target {summary.folder}"), soft_wrap=True)
