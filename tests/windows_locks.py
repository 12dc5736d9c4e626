"""Windows' locks of bytes (`msvcrt`), by Linux' locks of an open file, which hold as they do."""

from __future__ import annotations

import errno
import os
import struct
import sys
from typing import Any

import pytest

import safe_files._lock

LK_UNLCK, LK_NBLCK = 0, 2


def locking(descriptor: int, mode: int, count: int) -> None:
    """As `msvcrt.locking`: bytes from where the file is at, which nobody else may hold."""
    import fcntl

    first = os.lseek(descriptor, 0, os.SEEK_CUR)
    kind = fcntl.F_WRLCK if mode == LK_NBLCK else fcntl.F_UNLCK
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, 0, first, count, 0))
    except BlockingIOError:
        raise PermissionError(errno.EACCES, "Permission denied") from None


class Everywhere:
    """Has the locks be Windows' also in a worker that gets this before its lock."""

    def __getstate__(self) -> dict[str, Any]:
        return {"sys": True}

    def __setstate__(self, state: dict[str, Any]) -> None:
        sys.modules["msvcrt"] = sys.modules[__name__]
        safe_files._lock._system = safe_files._lock._Bytes()


def as_on_windows(monkeypatch: pytest.MonkeyPatch) -> Everywhere:
    """Has locks be of bytes, and files that this process has open stay where they are."""

    def unlink(path: Any, **others: Any) -> None:
        opened = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
        if os.path.abspath(path) in {os.readlink(one) for one in opened if os.path.islink(one)}:
            raise PermissionError(errno.EACCES, "it is in use", str(path))
        kept_unlink(path, **others)

    kept_unlink = os.unlink
    monkeypatch.setattr(os, "unlink", unlink)
    monkeypatch.setitem(sys.modules, "msvcrt", sys.modules[__name__])
    monkeypatch.setattr("safe_files._lock._system", safe_files._lock._Bytes())
    return Everywhere()
