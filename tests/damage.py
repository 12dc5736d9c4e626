"""What disks and hands do to a file that was whole."""

from __future__ import annotations

import random
from collections.abc import Callable


def _flipped(content: bytes) -> bytes:
    """A bit, near the end: in the midst of an array's numbers."""
    at = len(content) - 9
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def _overwritten(content: bytes) -> bytes:
    """4 kB of noise over its middle, or over its second half where it is smaller than that."""
    start = min(len(content) // 2, max(len(content) - 4096, 0)) or len(content) // 2
    return (
        content[:start]
        + random.Random(0).randbytes(4096)[: len(content) - start]
        + (content[start + 4096 :])
    )


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit": _flipped,
    "a flipped bit of the header": lambda c: c[:9] + bytes([c[9] ^ 4]) + c[10:],
    "4 kB of noise": _overwritten,
    "a zeroed half": lambda content: content[: len(content) // 2] + bytes(-(-len(content) // 2)),
    "cut short": lambda content: content[:1000],
    "emptied": lambda content: b"",
}
