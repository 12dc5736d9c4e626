"""What a check of a dataset found, and what came of mending it, in sentences."""

from __future__ import annotations

from adapter._target.report import counted
from render_adapt._runs.manifest import LISTING
from render_adapt._runs.pipeline import RunSummary
from render_adapt._verify.verify import Verification


def what_is_sound(verification: Verification) -> str:
    """What was checked of a dataset in which nothing is bad."""
    crops, shards = verification.crops, verification.shards
    if verification.carried_over:
        return (
            f"checked {counted(crops, 'image')} in {counted(shards, 'scene')}: all files are as "
            "they were written"
        )
    labels = (
        "and the labels are true"
        if verification.reads_labels
        else "and no labels were looked at, since only others read its formats"
    )
    return (
        f"checked {counted(crops, 'crop')} in {counted(shards, 'shard')}: all files are as they "
        f"were written, {labels}"
    )


def bad_files(verification: Verification) -> str:
    """The first bad file, and how many shards are bad."""
    first = verification.bad[0]
    bad, shards = sum(file.shard is not None for file in verification.bad), verification.shards
    count = f"{bad} of {shards} shards {'is' if bad == 1 else 'are'} bad"
    if shards == 1:
        count = f"its only shard is {'bad' if bad else 'in order'}"
    return f"{first.path} {first.problem}; {count}"


def repair_notes(verification: Verification, summary: RunSummary) -> tuple[str, ...]:
    """What is worth knowing of a repair, a sentence each.

    Args:
        verification: what was found before.
        summary: what was made.
    """
    listing = verification.folder / LISTING
    listed = all(file.path != listing for file in verification.bad)
    if not listed or verification.sha256 == summary.sha256:
        return summary.notes
    return (
        *summary.notes,
        "what was made anew is not to the bit what was there, as with another version of "
        "render-adapt or its libraries: the dataset has another hash now",
    )
