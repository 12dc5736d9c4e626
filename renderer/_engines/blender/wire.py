"""How this process and one with Blender speak: named arrays over pipes.

Runs in Blender's own Python: imports numpy only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

GREETING = b"\0render-adapt worker\0"
"""What a worker says first; whatever Blender has printed before is skipped."""


def send(stream: IO[bytes], message: Mapping[str, Any]) -> None:
    """Write a message: numbers, texts and arrays by name.

    Raises:
        OSError: the other side is gone.
    """
    arrays = {name: np.asarray(value) for name, value in message.items()}
    head = [[name, array.dtype.str, array.shape] for name, array in arrays.items()]
    text = json.dumps(head).encode()
    stream.write(len(text).to_bytes(8, "little") + text)
    for array in arrays.values():
        stream.write(np.ascontiguousarray(array).tobytes())
    stream.flush()


def receive(stream: IO[bytes]) -> dict[str, NDArray[Any]]:
    """Read a message.

    Raises:
        EOFError: the other side is gone.
    """
    head = json.loads(_exactly(stream, int.from_bytes(_exactly(stream, 8), "little")))
    message = {}
    for name, kind, shape in head:
        dtype = np.dtype(kind)
        content = _exactly(stream, dtype.itemsize * int(np.prod(shape, dtype=np.int64)))
        message[name] = np.frombuffer(content, dtype).reshape(shape)
    return message


def await_greeting(stream: IO[bytes]) -> None:
    """Read until the worker speaks.

    Raises:
        EOFError: it ended before.
    """
    last = b""
    while not last.endswith(GREETING):
        last = (last + _exactly(stream, 1))[-len(GREETING) :]


def pack_list(prefix: str, items: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """A list of messages as one, under `prefix NUMBER name`."""
    return {
        f"{prefix} {number} {name}": value
        for number, item in enumerate(items)
        for name, value in item.items()
    }


def unpack_list(prefix: str, message: Mapping[str, NDArray[Any]]) -> list[dict[str, NDArray[Any]]]:
    """The list that `pack_list` packed."""
    items: dict[int, dict[str, NDArray[Any]]] = {}
    for key, value in message.items():
        kind, _, rest = key.partition(" ")
        if kind == prefix:
            number, _, name = rest.partition(" ")
            items.setdefault(int(number), {})[name] = value
    return [items[number] for number in sorted(items)]


def _exactly(stream: IO[bytes], count: int) -> bytes:
    parts = []
    while count > 0:
        part = stream.read(count)
        if not part:
            raise EOFError("the other side is gone")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
