"""Proof that a dataset is what was written, and that its labels are true."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from render_adapt._config import SHARD_SIZE, available_cores
from render_adapt._description import config_of
from render_adapt._executor import Executor, ProcessExecutor, SerialExecutor
from render_adapt._manifest import LISTING, entry_of, read_manifest
from render_adapt._pipeline import generate
from render_adapt._shard_checks import (
    BadFile,
    BadFileError,
    RunFacts,
    ShardChecker,
    check_hashes,
    read_hashes,
)


@dataclass(frozen=True)
class Verification:
    """What was found in a dataset."""

    folder: Path
    crops: int
    """Crops in shards without fault."""
    shards: int
    """All of the run's."""
    bad: tuple[BadFile, ...]
    """The first that is of no shard, then the first of each bad shard."""
    seconds: float


def verify(
    folder: Path,
    *,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Check a dataset: every file's hash, and every label against its pose.

    Poses are drawn again with the dataset's own models. Masks must be what they show to the pixel,
    but for pixels that rounding decides; exact depth to half a step of its PNG; the depth of a
    sensor or an adapter in its median, within what those may add. Quaternions, rotations, K, boxes,
    counts and COCO annotations must follow from that, alike in all files. Labels are looked at
    where the models are as they were written.

    Args:
        folder: the dataset's.
        workers: processes side by side; one per core if not given.
        on_progress: called with (crops checked, crops in all) after each shard.

    Raises:
        DatasetError: it is no dataset of ours, or its manifest is damaged.
        WorkerError: worker processes keep dying.
    """
    started = time.perf_counter()
    facts = RunFacts.of(folder)
    bad = list(_check_shared(folder))
    # Without a list nothing speaks against the models.
    labels = all(file.path == folder / LISTING for file in bad)
    make_checker = functools.partial(ShardChecker, folder, facts, labels)
    workers = min(workers or available_cores(), facts.shards)
    executor: Executor[BadFile | int] = (
        ProcessExecutor(workers) if workers > 1 else SerialExecutor()
    )
    crops = 0
    with closing(executor.map(make_checker, range(facts.shards))) as results:
        for done, result in enumerate(results, 1):
            if isinstance(result, BadFile):
                bad.append(result)
            else:
                crops += result
            if on_progress:
                on_progress(min(done * SHARD_SIZE, facts.crops), facts.crops)
    bad.sort(key=lambda file: -1 if file.shard is None else file.shard)
    return Verification(folder, crops, facts.shards, tuple(bad), time.perf_counter() - started)


def repair(
    verification: Verification,
    *,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Make the bad shards of a dataset, and the files that are of no shard, anew.

    Paths in the run's settings are looked for from where this is called.

    Raises:
        ConfigError, ModelError, AdapterError, RenderError, DatasetError, WorkerError: as for
            `generate`; also where a mesh or the adapter is not what it was.
    """
    folder = verification.folder
    changes = {"workers": workers} if workers else {}
    config = config_of(read_manifest(folder), folder, **changes)
    for file in verification.bad:
        if file.shard is not None:
            entry_of(folder, file.shard).unlink(missing_ok=True)
    generate(config, on_progress)


def _check_shared(folder: Path) -> tuple[BadFile, ...]:
    """The first bad file that is of no shard, if any."""
    try:
        hashes = read_hashes(folder, LISTING)
        of_no_shard = {name: sha256 for name, sha256 in hashes.items() if name[:7] != "shards/"}
        check_hashes(folder, of_no_shard)
    except BadFileError as bad:
        return (BadFile(folder / bad.name, bad.problem),)
    return ()
