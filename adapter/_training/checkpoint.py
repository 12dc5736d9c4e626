"""Training state on disk: networks, optimisers, step, and what the run was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from adapter._errors import AdapterError, OtherTraining, brief
from adapter._files import write_atomically
from safe_files import open_file

CHECKPOINT = "checkpoint.safetensors"
MOST_BYTES = 2**34
FORMAT = "render-adapt training 2"
_WITHOUT_HASH = "render-adapt training 1"
"""As written before checkpoints carried a hash."""
THREADS = "threads"
"""Of a checkpoint's metadata: how many the training computed with."""
_MOST_DIGITS = 4
"""Of a number of threads."""
_NO_HASH = "0" * 64
"""In place of the hash, while it is taken."""

FREE_SETTINGS = frozenset(
    {"steps", "max_minutes", "checkpoint_every", "threads", "device", "compile", "tensorboard"}
)
"""Settings that may change between a run and its continuation."""


def write_checkpoint(
    path: Path,
    networks: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
    metadata: Mapping[str, str],
) -> None:
    """Write a training's state at one stroke.

    Raises:
        AdapterError: it cannot be written.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    for name, network in networks.items():
        tensors |= {f"{name}.{k}": v for k, v in network.state_dict().items()}
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            present = {k: v for k, v in state.items() if isinstance(v, Tensor)}
            tensors |= {f"optimizer.{name}.{index}.{k}": v for k, v in present.items()}
    # Copies, for networks may share weights, which the file's format does not know.
    whole = torch.contiguous_format
    plain = {k: v.detach().cpu().clone(memory_format=whole) for k, v in tensors.items()}
    unsigned = save(plain, {"format": FORMAT, "sha256": _NO_HASH, **metadata})
    digest = hashlib.sha256(unsigned).hexdigest()
    write_atomically(path, unsigned.replace(_named(_NO_HASH), _named(digest), 1))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a training checkpoint.

    Its hash, which is of all of the file but the hash itself, is compared; one that was written
    before checkpoints carried a hash has none, and is taken as it is.

    Raises:
        AdapterError: it cannot be read, is damaged or is no training checkpoint.
    """
    with _opened(path) as (file, metadata):
        recorded = metadata.pop("sha256", None)
        if recorded != _hash_without_itself(path, recorded):
            raise AdapterError(
                f"{path} is not the file that was written: its SHA-256 differs; take it from a "
                "copy, or delete it to start the training again"
            )
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it cannot be iterated)
    return tensors, metadata


def _named(digest: str) -> bytes:
    """A hash as the header of a checkpoint has it."""
    return f'"sha256":"{digest}"'.encode()


def _hash_without_itself(path: Path, recorded: str | None) -> str | None:
    """The hash of a checkpoint in which the hash stands as it did when it was taken."""
    if recorded is None:
        return None
    with open_file(path, most=MOST_BYTES) as file:
        length = file.read(8)
        header = file.read(int.from_bytes(length, "little"))
        digest = hashlib.sha256(length + header.replace(_named(recorded), _named(_NO_HASH), 1))
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a training checkpoint alone.

    Raises:
        AdapterError: it cannot be read or is no training checkpoint.
    """
    with _opened(path) as (_, metadata):
        return metadata


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, dict[str, str]]]:
    from safetensors import SafetensorError, safe_open

    try:
        # safetensors would wait for a pipe, and look into whatever a link leads to.
        open_file(path, most=MOST_BYTES, inside=path.parent).close()
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            has_hash = "sha256" in metadata
            if metadata.get("format") != (FORMAT if has_hash else _WITHOUT_HASH):
                raise AdapterError(
                    f"{path} is not a training checkpoint of this version ({FORMAT}); delete it "
                    "to start the training again"
                )
            yield file, metadata
    except (OSError, SafetensorError) as error:
        raise AdapterError(
            f"{path} cannot be read as a training checkpoint ({brief(error)}); delete it to start "
            "the training again"
        ) from error


def note_on(path: Path, metadata: Mapping[str, str]) -> str:
    """What is to be said of a checkpoint that could not be compared with its hash; else nothing."""
    if metadata["format"] == FORMAT:
        return ""
    return (
        f"{path} was written before checkpoints carried a hash, so that nobody can say whether it "
        "is as it was; the next one carries one"
    )


def threads_of(path: Path, metadata: Mapping[str, str]) -> int:
    """How many threads a checkpoint's training computed with; 0 where it does not say.

    Raises:
        AdapterError: it says what no number of threads is.
    """
    stated = metadata.get(THREADS, "0")
    if not (stated.isascii() and stated.isdigit() and len(stated) <= _MOST_DIGITS):
        raise AdapterError(
            f"{path} says that it was trained with {stated!r:.40} threads: take it from a copy, or "
            "delete it to start the training again"
        )
    return int(stated)


def part(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The state of the network called `name`, from a checkpoint's tensors."""
    prefix = f"{name}."
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


def restore(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    networks: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
) -> int:
    """Put a checkpoint's state back into networks and optimisers; the step that it is of.

    Raises:
        AdapterError: it lacks a network's or an optimiser's state, as those of older versions do.
    """
    for name, network in networks.items():
        state = part(tensors, name)
        _check_whole(path, name, state.keys() == network.state_dict().keys())
        network.load_state_dict(state)
    step = int(metadata["step"])
    for name, optimizer in optimizers.items():
        moments = part(tensors, f"optimizer.{name}")
        # Continuing with fresh moments would be another run, and nobody would be told.
        has_none = step == 0 or all(g.get("momentum") == 0 for g in optimizer.param_groups)
        _check_whole(path, f"{name}'s optimiser", len(moments) > 0 or has_none)
        _restore_optimizer(moments, optimizer)
    return step


def _restore_optimizer(moments: Mapping[str, Tensor], optimizer: Optimizer) -> None:
    state = optimizer.state_dict()
    for key, value in moments.items():
        index, entry = key.split(".")
        state["state"].setdefault(int(index), {})[entry] = value
    optimizer.load_state_dict(state)
    for parameter, entries in optimizer.state.items():
        for entry, value in entries.items():
            if value.shape == parameter.shape:
                # Fused Adam goes through weights and moments in the order of memory.
                entries[entry] = torch.empty_like(parameter).copy_(value)


def _check_whole(path: Path, name: str, whole: bool) -> None:
    if not whole:
        raise AdapterError(
            f"{path} does not hold the whole state of the {name}, as another version left "
            "it; delete it to start the training again"
        )


def describe(config: Any, fingerprint: str, step: int) -> dict[str, str]:
    """Metadata that `check_same_run` compares."""
    return {
        "step": str(step),
        "config": _as_json(config),
        "fingerprint": fingerprint,
    }


def _as_json(config: Any) -> str:
    return json.dumps(dataclasses.asdict(config))


def check_same_run(
    path: Path, metadata: Mapping[str, str], config: Any, fingerprint: str, *, free: Iterable[str]
) -> None:
    """Refuse to continue a run with other settings, but for the `free` ones, or other crops.

    What a checkpoint does not say of its run is not compared: the judge's once said nothing.

    Raises:
        OtherTraining: the message says what differs.
    """
    # A setting that the checkpoint does not know is newer than it, and had its default's effect.
    defaults = {f.name: f.default for f in dataclasses.fields(config)}
    asked = json.loads(_as_json(config))
    stored = defaults | json.loads(metadata["config"]) if "config" in metadata else asked
    free = set(free)
    changed = [
        f"`{name}` {stored[name]!s:.40} there, {value} now"
        for name, value in asked.items()
        if name not in free and stored[name] != value
    ]
    if changed:
        raise OtherTraining(
            f"{path} belongs to a run with other settings ({'; '.join(changed)}); use these "
            "or another folder"
        )
    if metadata.get("fingerprint", fingerprint) != fingerprint:
        raise OtherTraining(
            f"{path} belongs to a run on other crops; use the same crops or another folder"
        )


def fingerprint_of(arrays: Iterable[NDArray[Any] | None]) -> str:
    """One hash of all the arrays, which tells one set of crops from another."""
    digest = hashlib.sha256()
    for array in arrays:
        if array is not None:
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
