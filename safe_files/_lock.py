"""One process, or one family of them, at a time in a folder."""

from __future__ import annotations

import abc
import contextlib
import errno
import importlib
import multiprocessing.context
import multiprocessing.reduction
import os
import sys
import time
from pathlib import Path
from typing import Any

PATIENCE = 10.0
"""Seconds: the workers of a run that was killed are gone by then."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)

_FLAGS = os.O_RDWR | int(getattr(os, "O_NOFOLLOW", 0)) | int(getattr(os, "O_BINARY", 0))
"""What lies there may be a link to a file of the user's."""


class FolderLock:
    """A lock that a run and all its workers hold together, until the last of them has ended.

    It is the system's: it does not outlive the processes, however they end. Where there are no such
    locks (some network disks), two runs in a folder go unnoticed.

    Args:
        path: the file to lock, which is made where it is not there.
        refusal: what is raised where another run holds it.
        patience: seconds to wait for it, `PATIENCE` if not given; infinite waits until it is free.
    """

    def __init__(self, path: Path, refusal: Exception, *, patience: float | None = None) -> None:
        self._path = path
        self._descriptor: int | None = None
        deadline = time.monotonic() + (PATIENCE if patience is None else patience)
        while self._descriptor is None:
            descriptor = os.open(path, _FLAGS | os.O_CREAT, 0o644)
            if not _system.take(descriptor):
                os.close(descriptor)
                if time.monotonic() >= deadline:
                    raise refusal
                time.sleep(0.1)
            elif _system.is_at(descriptor, path):
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

    def remove(self) -> None:
        """Let go, in this process, and remove the file."""
        if self._descriptor is not None:
            _system.remove(self._descriptor, self._path)
            self._descriptor = None

    def __getstate__(self) -> dict[str, Any]:
        """What a worker that is being spawned gets: the lock itself, which it then holds too."""
        spawning = multiprocessing.context.get_spawning_popen() is not None
        if self._descriptor is None or not spawning:
            return {"path": self._path, "shared": None}
        return {"path": self._path, "shared": _system.share(self._descriptor, self._path)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._path = state["path"]
        shared = state["shared"]
        self._descriptor = None if shared is None else _system.join(shared)


class _System(abc.ABC):
    """The locks that a system has."""

    @abc.abstractmethod
    def take(self, descriptor: int) -> bool:
        """Whether an open file is locked now, or cannot be on this disk."""

    @abc.abstractmethod
    def is_at(self, descriptor: int, path: Path) -> bool:
        """Whether an open file is still the one of its name."""

    @abc.abstractmethod
    def remove(self, descriptor: int, path: Path) -> None:
        """Remove a locked file and let go, so that nobody goes on with a file that is gone."""

    @abc.abstractmethod
    def share(self, descriptor: int, path: Path) -> Any:
        """What a worker needs to hold a lock too, as pickle takes it."""

    @abc.abstractmethod
    def join(self, shared: Any) -> int:
        """Hold a lock too; the worker's descriptor."""


class _WholeFiles(_System):
    """flock, which all hold who have the descriptor."""

    def take(self, descriptor: int) -> bool:
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True

    def is_at(self, descriptor: int, path: Path) -> bool:
        return path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())

    def remove(self, descriptor: int, path: Path) -> None:
        path.unlink(missing_ok=True)
        os.close(descriptor)

    def share(self, descriptor: int, path: Path) -> Any:
        return multiprocessing.reduction.DupFd(descriptor)

    def join(self, shared: Any) -> int:
        return int(shared.detach())


class _Bytes(_System):
    """Windows', which are of bytes, behind all that is in the file, and of one process each.

    The run holds the first of them. Each worker holds one of the others, and all of these must be
    free for another run to begin.
    """

    _RUN = 2**20
    _WORKERS, _MOST_WORKERS = _RUN + 1, 1000

    def take(self, descriptor: int) -> bool:
        if not self._lock(descriptor, self._RUN, 1):
            return False
        if not self._lock(descriptor, self._WORKERS, self._MOST_WORKERS):
            return False
        self._unlock(descriptor, self._WORKERS, self._MOST_WORKERS)
        return True

    def is_at(self, descriptor: int, path: Path) -> bool:
        return True  # Nobody can remove a file that is open.

    def remove(self, descriptor: int, path: Path) -> None:
        os.close(descriptor)
        with contextlib.suppress(FileNotFoundError, PermissionError):
            # Another run may have opened it meanwhile, and it is that run's then.
            path.unlink()

    def share(self, descriptor: int, path: Path) -> Any:
        return str(path)

    def join(self, shared: Any) -> int:
        descriptor = os.open(shared, _FLAGS)
        places = range(self._WORKERS, self._WORKERS + self._MOST_WORKERS)
        if not any(self._lock(descriptor, place, 1) for place in places):
            os.close(descriptor)
            raise OSError(errno.ENOLCK, "more workers than can hold a lock together", shared)
        return descriptor

    def _lock(self, descriptor: int, first: int, count: int) -> bool:
        return self._change("LK_NBLCK", descriptor, first, count)

    def _unlock(self, descriptor: int, first: int, count: int) -> None:
        self._change("LK_UNLCK", descriptor, first, count)

    @staticmethod
    def _change(mode: str, descriptor: int, first: int, count: int) -> bool:
        """Whether nobody else holds the bytes, or none can be locked on this disk."""
        msvcrt: Any = importlib.import_module("msvcrt")
        os.lseek(descriptor, first, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, getattr(msvcrt, mode), count)
        except PermissionError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True


_system: _System = _Bytes() if sys.platform == "win32" else _WholeFiles()
