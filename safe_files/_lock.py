"""One process, or one family of them, at a time in a folder."""

from __future__ import annotations

import errno
import multiprocessing.context
import multiprocessing.reduction
import os
import sys
import time
from pathlib import Path
from typing import Any

PATIENCE = 10.0
"""Seconds: the workers of a run that was killed are gone by then."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

_NO_LINK = int(getattr(os, "O_NOFOLLOW", 0))
"""What lies there may be a link to a file of the user's."""


class FolderLock:
    """A lock that a run and all its workers hold together, until the last of them has ended.

    It is the system's (flock): it does not outlive the processes, however they end. Where there are
    no such locks (Windows, some network disks), two runs in a folder go unnoticed.

    Args:
        path: the file to lock, which is made where it is not there.
        refusal: what is raised where another run holds it.
        patience: seconds to wait for it, `PATIENCE` if not given; infinite waits until it is free.
    """

    def __init__(self, path: Path, refusal: Exception, *, patience: float | None = None) -> None:
        self._descriptor: int | None = None
        deadline = time.monotonic() + (PATIENCE if patience is None else patience)
        while self._descriptor is None:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o644)
            if not _lock(descriptor):
                os.close(descriptor)
                if time.monotonic() >= deadline:
                    raise refusal
                time.sleep(0.1)
            elif path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                self._descriptor = descriptor
            else:
                # The run that held it removed the file as it ended.
                os.close(descriptor)

    def write(self, text: str) -> None:
        """Make this the whole text of the file that is locked."""
        assert self._descriptor is not None
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, text.encode())

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def release(self) -> None:
        """Let go, in this process."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __getstate__(self) -> dict[str, Any]:
        """What a worker that is being spawned gets: the lock itself, which it then holds too."""
        spawning = multiprocessing.context.get_spawning_popen() is not None
        if self._descriptor is None or not spawning:
            return {"shared": None}
        return {"shared": multiprocessing.reduction.DupFd(self._descriptor)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._descriptor = state["shared"] and state["shared"].detach()


def _lock(descriptor: int) -> bool:
    """Whether a file is locked now, or cannot be on this system."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True
