"""Whether datasets go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from render_adapt._exceptions import DatasetError
from render_adapt._formats.format import MergeableFormat
from render_adapt._formats.registry import formats
from render_adapt._formats.written import MOST_RUNS
from render_adapt._merge.source import CAMERA, Source, camera_of
from render_adapt._runs.manifest import config_hash

_SHOWS_NOTHING = ("format", "n", "rgb")
"""Of a manifest: what says how crops are written, and how many, not what they show."""


def refuse_misfits(sources: Sequence[Source]) -> None:
    """Refuse what no reader of one dataset could take together.

    Raises:
        DatasetError: pictures are of other sizes or kinds, or K counts pixels in another way.
    """
    first = sources[0]
    for source in sources[1:]:
        different = first.pictures.other_than(source.pictures)
        if different is not None:
            raise DatasetError(
                f"{first.folder} has {different[0]}, {source.folder} {different[1]}: only datasets "
                "alike in this can be merged; make one of them anew as the other is"
            )
    runs = sum(len(source.parts) for source in sources)
    if runs > MOST_RUNS:
        raise DatasetError(f"these are {runs} runs: merge at most {MOST_RUNS}")


def refuse_the_same_crops(sources: Sequence[Source]) -> None:
    """Refuse crops that another dataset has too: a merged one would have them twice.

    Raises:
        DatasetError: two are of one run, however long.
    """
    seen: dict[str, Source] = {}
    for source in sources:
        for part in source.parts:
            run = part["run"]
            crops = _crops_hash(run)
            if crops in seen:
                raise DatasetError(
                    f"{seen[crops].folder} and {source.folder} both have crops of one run (seed "
                    f"{run['seed']}): leave one out, or make it anew with another `seed`"
                )
            seen[crops] = source


def _crops_hash(run: Mapping[str, Any]) -> str:
    """Of all that decides what a run's crops show, however many there are."""
    return config_hash({name: run[name] for name in run if name not in _SHOWS_NOTHING})


def chosen_formats(sources: Sequence[Source]) -> tuple[list[str], list[str]]:
    """The formats that a merged dataset has, and of what is left out a sentence each.

    Raises:
        DatasetError: none.
    """
    one_camera = len({str(camera_of(source.folder)) for source in sources}) == 1
    chosen: list[str] = []
    notes = []
    for name in formats():
        having = [source for source in sources if name in source.formats]
        if not having:
            continue
        lacking = [source for source in sources if name not in source.formats]
        format_ = formats()[name]
        if lacking:
            notes.append(f"{name} is left out, which {lacking[0].folder} was not written in")
        elif not isinstance(format_, MergeableFormat):
            notes.append(f"{name} is left out, which says nothing of how it is merged")
        elif format_.of_one_camera and not one_camera:
            notes.append(f"{name} is left out, which has one camera: these datasets have several")
        elif format_.needs is not None and format_.needs not in chosen:
            notes.append(f"{name} is left out, which is made of {format_.needs}")
        else:
            chosen.append(name)
    if not chosen:
        written = "; ".join(f"{one.folder} as {', '.join(one.formats)}" for one in sources[:4])
        raise DatasetError(
            f"no format that can be merged is common to all ({written}): make one of them anew "
            "with the `format` of the others"
        )
    if not one_camera and sources[0].pictures.what == "frame":
        notes.append(
            f"{CAMERA} is that of {sources[0].folder}: the datasets have several cameras, and each "
            "picture's own K is in its scene"
        )
    return chosen, notes
