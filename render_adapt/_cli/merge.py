"""`render-adapt merge`: several finished datasets into one."""

from __future__ import annotations

from pathlib import Path

from render_adapt._cli.bars import CropsBar
from render_adapt._cli.consoles import output
from render_adapt._cli.settings import in_flags
from render_adapt._cli.streams import CONTINUES, saying_when_interrupted


def merge(*datasets: Path, out: Path, first_scene: int = 0) -> None:
    """Make one dataset of several finished ones, which stay as they are.

    Scenes are numbered through, and objects where their numbers are another's; all else is carried
    over. The same command continues.

    Parameters
    ----------
    datasets
        Folders of datasets, two or more.
    out
        Folder of the dataset that is made of them.
    first_scene
        The number of its first BOP scene.
    """
    from render_adapt._merge.merge import merge as merge_datasets

    with saying_when_interrupted(lambda: CONTINUES), CropsBar() as show:
        summary = merge_datasets(datasets, out, first_scene, show)
    counts = ", ".join(f"{name} {count}" for name, count in summary.by_object.items())
    output.print(f"{summary.crops} crops: {counts}", soft_wrap=True)
    for note in summary.notes:
        output.print(in_flags(f"note: {note}"), soft_wrap=True)
    output.print(f"dataset: {summary.folder}", soft_wrap=True)
    output.print(f"sha256: {summary.sha256}", style="dim")
