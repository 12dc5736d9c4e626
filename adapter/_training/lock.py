"""One training at a time in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapter._errors import AdapterError
from adapter._files import make_folder
from safe_files import FolderLock


@contextmanager
def only_training(folder: Path, name: str = "training.lock") -> Iterator[None]:
    """No other training works in a folder meanwhile.

    Of several processes of one training the first has the lock.

    Args:
        folder: the training's; made if absent.
        name: of the file that is locked, and stays there.

    Raises:
        AdapterError: another one is at work there, or the folder cannot be written.
    """
    # Here, for a command that trains nothing needs no torch.
    from adapter._processes import is_first

    if not is_first():
        yield
        return
    make_folder(folder)
    refusal = AdapterError(
        f"another training is at work in {folder}: wait until it has ended, or give `out` another "
        "folder"
    )
    try:
        lock = FolderLock(folder / name, refusal)
    except OSError as error:
        raise AdapterError(f"{folder / name} cannot be written ({error.strerror})") from error
    with lock:
        yield
