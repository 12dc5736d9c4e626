"""`render-adapt verify`: whether a dataset is what was written, and its labels are true."""

from __future__ import annotations

import json
import re
from pathlib import Path

from checked_settings import WrongValue
from render_adapt._cli.bars import CropsBar, rate_text
from render_adapt._cli.consoles import errors, output
from render_adapt._cli.settings import Flag, in_flags
from render_adapt._exceptions import DatasetError
from render_adapt._stores.address import StoreAddress, place_of
from render_adapt._verify.verify import Verification
from render_adapt._verify.verify import repair as repair_dataset
from render_adapt._verify.verify import verify as verify_dataset
from render_adapt._verify.words import bad_files, repair_notes, what_is_sound


def verify(
    dataset: str,
    /,
    *,
    repair: Flag = False,
    sha256: str | None = None,
    adapter: str | None = None,
    models: Path | None = None,
    workers: int | None = None,
    quiet: Flag = False,
    json: Flag = False,
) -> None:
    """Check that a dataset is what was written, file by file, and that its labels are true.

    Exit code 1 where they are not, with the first bad file.

    Parameters
    ----------
    dataset
        Its folder, or its address in an object store.
    repair
        Make bad shards anew, with the same bytes, of the dataset's own models; other files that the
        run was made of are looked for by their names here and beside the dataset.
    sha256
        What the dataset's run printed under this name: proves that it is that very dataset.
    adapter
        Where the run's adapter is now, for --repair.
    models
        Where the run's models folder or .blend file is now, for --repair.
    workers
        Processes side by side [default: all cores].
    quiet
        Print nothing but what is wrong.
    json
        Print what was found as one line of JSON.
    """
    if workers is not None and workers < 1:
        raise WrongValue("workers", workers, "at least 1")
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise WrongValue("sha256", sha256, "the 64 hexadecimal digits that the run printed")
    expected = sha256 and sha256.lower()
    folder = place_of(dataset)
    verification = _verified(folder, expected, workers, quiet)
    if verification.bad and repair:
        _repair(verification, adapter, models, workers, quiet or json)
        verification = _verified(folder, expected, workers, quiet)
    if json:
        _print_json(verification)
    if verification.bad:
        can_mend = not (
            repair or verification.carried_over or all(f.unlisted for f in verification.bad)
        )
        mend = f"; render-adapt verify {folder} --repair makes anew what is bad" if can_mend else ""
        raise DatasetError(f"{bad_files(verification)}{mend}")
    if not (quiet or json):
        output.print(f"{what_is_sound(verification)}{_rate(verification)}", soft_wrap=True)
        output.print(f"sha256: {verification.sha256}", style="dim")


def _rate(verification: Verification) -> str:
    if verification.carried_over:
        return ""
    return f" ({rate_text(verification.crops / verification.seconds)})"


def _verified(
    folder: Path | StoreAddress, sha256: str | None, workers: int | None, quiet: bool
) -> Verification:
    with CropsBar(quiet) as show:
        return verify_dataset(folder, sha256=sha256, workers=workers, on_progress=show)


def _repair(
    verification: Verification,
    adapter: str | None,
    models: Path | None,
    workers: int | None,
    quiet: bool,
) -> None:
    """Mend a dataset, and say what its hash has to say of that."""
    if not quiet:
        errors.print(f"mending {bad_files(verification)}", soft_wrap=True)
    with CropsBar(quiet) as show:
        summary = repair_dataset(
            verification, adapter=adapter, models=models, workers=workers, on_progress=show
        )
    if quiet:
        return
    for note in repair_notes(verification, summary):
        output.print(in_flags(f"note: {note}"), soft_wrap=True)


def _print_json(verification: Verification) -> None:
    facts = vars(verification) | {"bad": [vars(file) for file in verification.bad]}
    output.print(json.dumps(facts, default=str), soft_wrap=True)
