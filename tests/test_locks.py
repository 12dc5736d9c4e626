"""Locks of folders, where the system or the disk does what it seldom does."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest

from safe_files import FolderLock

posix = pytest.mark.skipif(os.name != "posix", reason="flock of POSIX systems")


class InUseError(Exception):
    """Another run holds it."""


@posix
def test_a_lock_whose_file_goes_as_it_is_taken_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that held it may end between the opening of its file and the locking."""
    import fcntl

    path, kept = tmp_path / "lock", fcntl.flock
    removals = iter([path.unlink])

    def flock(descriptor: int, operation: int) -> None:
        next(removals, lambda: None)()
        kept(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with FolderLock(path, InUseError(), patience=0.0):
        assert path.exists()
        with pytest.raises(InUseError):
            FolderLock(path, InUseError(), patience=0.0)


@posix
def test_on_a_disk_without_locks_two_runs_go_unnoticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    errors = iter([errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO])

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(next(errors), "the disk's answer")

    monkeypatch.setattr(fcntl, "flock", flock)
    with FolderLock(tmp_path / "lock", InUseError()), FolderLock(tmp_path / "lock", InUseError()):
        pass
    with pytest.raises(OSError, match="the disk's answer"):
        FolderLock(tmp_path / "lock", InUseError())


def test_a_copy_of_a_lock_holds_nothing(tmp_path: Path) -> None:
    """Only a worker that is being started gets to hold it too."""
    path = tmp_path / "lock"
    with FolderLock(path, InUseError()) as lock:
        copy = pickle.loads(pickle.dumps(lock))
        copy.release()
        copy.remove()
        assert path.exists()
        with pytest.raises(InUseError):
            FolderLock(path, InUseError(), patience=0.0)
    FolderLock(path, InUseError(), patience=0.0).release()
