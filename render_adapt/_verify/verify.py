"""Proof that a dataset is what was written, and that its labels are true."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from render_adapt._config import available_cores
from render_adapt._exceptions import DatasetError
from render_adapt._files import hash_file
from render_adapt._formats.registry import formats
from render_adapt._formats.written import MERGED
from render_adapt._runs.description import config_of, where_files_are
from render_adapt._runs.executor import Executor, ProcessExecutor, SerialExecutor
from render_adapt._runs.manifest import (
    LISTING,
    MANIFEST,
    listed_hashes,
    read_manifest,
    refuse_changed_manifest,
)
from render_adapt._runs.own_models import own_models
from render_adapt._runs.pipeline import SHEET, RunSummary, make_dataset
from render_adapt._runs.run_folder import INCOMPLETE
from render_adapt._runs.shard_entry import is_part
from render_adapt._stores.address import StoreAddress, place_of
from render_adapt._verify.adaptation import check_adaptation, is_adaptation
from render_adapt._verify.places import DatasetInFolder, looked_at
from render_adapt._verify.shards import (
    OF_SYSTEMS,
    UNLISTED,
    BadFile,
    BadFileError,
    RunFacts,
    check_hashes,
    read_hashes,
)
from safe_files import is_partial

_NEVER_LISTED = (LISTING, INCOMPLETE, "report.html")
_SHARED = (MANIFEST, SHEET, "camera.json", "models")
_MOST_UNLISTED = 1000


@dataclass(frozen=True)
class Verification:
    """What was found in a dataset."""

    folder: Path | StoreAddress
    """Where it is."""
    crops: int
    """Crops in shards without fault."""
    shards: int
    """All of the run's."""
    bad: tuple[BadFile, ...]
    """The list, where it is not the one that was asked for; the first file that is of no shard and
    not as it was written; those that are listed nowhere; then the first of each bad shard."""
    seconds: float
    sha256: str | None
    """Of the whole dataset, as the run that made it printed it: that of `dataset.sha256`. None
    where that is not there."""
    expected: str | None = None
    """What it was to be."""
    carried_over: bool = False
    """Whether it is a dataset that `adapt` made, whose labels are another's: shards are its scenes,
    crops their images."""
    reads_labels: bool = True
    """Whether crops are read of one of its formats, so that labels could be looked at; of others
    hashes alone are checked."""


def verify(
    folder: Path | str | StoreAddress,
    *,
    sha256: str | None = None,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Check a dataset: every file's hash, and every label against its pose.

    Without `sha256` it is proved that the dataset is in itself as it was written; with it, that it
    is the one that the run made which printed this hash. Files that are listed nowhere are faults.
    Of a dataset that `adapt` made this is all; its labels are another dataset's.

    Poses are drawn again with the dataset's own models. Masks must be what they show to the pixel,
    but for pixels that rounding decides; exact depth to half a step of its PNG; the depth of a
    sensor or an adapter in its median, within what those may add. Quaternions, rotations, K, boxes,
    counts and COCO annotations must follow from that, alike in all files. Labels are looked at
    where the models are as they were written.

    Args:
        folder: the dataset's, or its address in an object store; of that, each worker has one shard
            at a time in a temporary folder.
        sha256: of the whole dataset, as its run printed it.
        workers: processes side by side; one per core if not given.
        on_progress: called with (crops checked, crops in all) after each shard.

    Raises:
        DatasetError: it is no dataset of ours, or its manifest is damaged.
        WorkerError: worker processes keep dying.
    """
    started = time.perf_counter()
    with looked_at(place_of(folder)) as dataset:
        if is_adaptation(dataset.folder):
            return _verify_adaptation(dataset.folder, sha256, on_progress)
        facts = RunFacts.of(dataset.folder)
        bad = list(_check_shared(dataset.folder, facts))
        # Without a list nothing speaks against the models.
        labels = all(file.path == dataset.folder / LISTING for file in bad)
        readers = [formats()[name].reader(dataset.folder) for name in facts.formats]
        listing_sha256 = _hash_of_listing(dataset.folder)
        bad[:0] = _other_dataset(dataset.folder, listing_sha256, sha256)
        bad += _unlisted(dataset, facts)
        bad_shards, crops = _check_shards(dataset, facts, labels, workers, on_progress)
        bad = [dataset.named(file) for file in (*bad, *bad_shards)]
    bad.sort(key=lambda file: -1 if file.shard is None else file.shard)
    seconds = time.perf_counter() - started
    return Verification(
        dataset.place, crops, facts.shards, tuple(bad), seconds, listing_sha256, sha256,
        reads_labels=any(reader is not None for reader in readers),
    )  # fmt: skip


def _check_shards(
    dataset: DatasetInFolder,
    facts: RunFacts,
    labels: bool,
    workers: int | None,
    on_progress: Callable[[int, int], None] | None,
) -> tuple[list[BadFile], int]:
    """The first bad file of each bad shard, and how many crops the others have."""
    make_checker = functools.partial(dataset.make_checker, facts, labels)
    workers = min(workers or available_cores(), facts.shards)
    executor: Executor[BadFile | int] = (
        ProcessExecutor(workers) if workers > 1 else SerialExecutor()
    )
    bad, crops = [], 0
    with closing(executor.map(make_checker, facts.layout.numbers)) as results:
        for shards_done, result in enumerate(results, 1):
            if isinstance(result, BadFile):
                bad.append(result)
            else:
                crops += result
            if on_progress:
                on_progress(facts.crops * shards_done // facts.shards, facts.crops)
    return bad, crops


def _other_dataset(folder: Path, sha256: str | None, expected: str | None) -> list[BadFile]:
    """The list, where it is not the one that was asked for."""
    if None in (sha256, expected) or sha256 == expected:
        return []
    problem = f"is of another dataset: its SHA-256 is {sha256}, and not {expected}"
    return [BadFile(folder / LISTING, problem)]


def _verify_adaptation(
    folder: Path, sha256: str | None, on_progress: Callable[[int, int], None] | None
) -> Verification:
    started = time.perf_counter()
    checked = check_adaptation(folder, on_progress)
    listing_sha256 = _hash_of_listing(folder)
    bad = (*_other_dataset(folder, listing_sha256, sha256), *checked.bad)
    seconds = time.perf_counter() - started
    return Verification(
        folder, checked.images, checked.scenes, bad, seconds, listing_sha256, sha256,
        carried_over=True,
    )  # fmt: skip


def repair(
    verification: Verification,
    *,
    adapter: str | None = None,
    models: Path | None = None,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> RunSummary:
    """Make the bad shards of a dataset, and the files that are of no shard, anew.

    A bad shard stays until what was made in its place is whole. Nothing is made by a manifest that
    is not the one that was written.

    Objects are those in the dataset's own `models/`, where that is whole. The other files of the
    run's settings, of which a manifest has the names alone, are looked for where this is called
    and beside the dataset.

    Args:
        verification: what was found.
        adapter: where the run's adapter is now.
        models: where the run's models folder or .blend file is now.
        workers: processes side by side; as many as the run's if not given.
        on_progress: as for `generate`.

    Raises:
        RenderAdaptError: as for `generate`; also where a mesh or the adapter is not what it was.
    """
    place = verification.folder
    if verification.carried_over:
        raise DatasetError(
            f"{place} was made by render-adapt adapt, from a dataset that is not in it: delete "
            "the scenes that are bad and give that command again"
        )
    _refuse_what_is_no_damage(verification)
    with looked_at(place) as dataset:
        refuse_changed_manifest(dataset.folder)
        manifest = read_manifest(dataset.folder)
        for key, source in (
            ("alignment", "align, from crops"),
            ("cut", "crop, from frames"),
            (MERGED, "merge, from datasets"),
        ):
            if key in manifest:
                raise DatasetError(
                    f"{place} was made by render-adapt {source} that are not in it: delete the "
                    "files that are bad and give that command again"
                )
        own = own_models(dataset.folder, manifest)
    changes = {"workers": workers, "adapter": adapter, "models": models}
    changed = {name: value for name, value in changes.items() if value is not None}
    config = where_files_are(config_of(manifest, place, **changed), place)
    bad_shards = {file.shard for file in verification.bad if file.shard is not None}
    return make_dataset(config, on_progress, bad_shards, own)


def _refuse_what_is_no_damage(verification: Verification) -> None:
    """Refuse to mend another dataset than was meant, and shards in which others' files lie.

    Raises:
        DatasetError: it is one of these.
    """
    listing_sha256, expected = verification.sha256, verification.expected
    if expected is not None and listing_sha256 not in (None, expected):
        raise DatasetError(
            f"{verification.folder / LISTING} has the SHA-256 {listing_sha256}, and not "
            f"{expected}: this is another dataset, or its list was changed; take it from a copy"
        )
    for file in verification.bad:
        # They would go with the shard that they lie in.
        if file.unlisted and file.shard is not None:
            raise DatasetError(f"{file.path} {file.problem}, and repair it then")


def _hash_of_listing(folder: Path) -> str | None:
    try:
        return hash_file(folder / LISTING, folder)
    except OSError:
        return None


def _unlisted(dataset: DatasetInFolder, facts: RunFacts) -> list[BadFile]:
    """Files that are neither listed nor in a place that a shard's check looks into."""
    folder = dataset.folder
    listed = listed_hashes(folder)
    shared = {
        *_SHARED,
        *(name for name_of_format in facts.formats for name in formats()[name_of_format].shared),
    }
    unfinished = (folder / INCOMPLETE).exists()

    def belongs(name: str) -> bool:
        return (
            name in listed
            or name in _NEVER_LISTED
            or is_part(name, facts.layout.numbers)
            or name.rpartition("/")[2] in OF_SYSTEMS
            # What a run that was killed leaves, it removes as it goes on.
            or (unfinished and (name.startswith(".") or is_partial(name.rpartition("/")[2])))
            # It was said already that the list is not there.
            or (not listed and (name in shared or PurePosixPath(name).parts[0] in shared))
        )

    names = itertools.islice(dataset.names(belongs), _MOST_UNLISTED)
    try:
        return [BadFile(folder / name, UNLISTED, unlisted=True) for name in names]
    except BadFileError as bad:
        return [BadFile(folder / bad.name, bad.problem)]


def _check_shared(folder: Path, facts: RunFacts) -> tuple[BadFile, ...]:
    """The first bad file that is of no shard, if any."""
    try:
        hashes = read_hashes(folder, LISTING)
        for name in (MANIFEST, *(f"models/obj_{number:06d}.ply" for number in facts.object_ids)):
            if name not in hashes:
                raise BadFileError(LISTING, f"does not list {name}")
        of_no_shard = {name: sha256 for name, sha256 in hashes.items() if name[:7] != "shards/"}
        check_hashes(folder, of_no_shard)
    except BadFileError as bad:
        return (BadFile(folder / bad.name, bad.problem),)
    return ()
