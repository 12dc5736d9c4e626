"""An adapter's description, adapter.json: what it takes, where it came from, its files' hashes."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapter._cut import TargetCut, read_cut
from adapter._errors import AdapterError
from adapter._files import write_atomically
from adapter._runtime.verdict import Verdict, read_verdict
from safe_files import parse_json, read_file

FORMAT = "render-adapt adapter 1"
DESCRIPTION = "adapter.json"
WEIGHTS = "generator.safetensors"
ONNX = "generator.onnx"
BACKGROUNDS = "backgrounds"
"""The folder in an adapter's of what its camera saw behind objects, 64 pixels a side."""

MOST_DESCRIPTION_BYTES = 2**20
LIMITS = {
    "channels": (3, 4),
    "size": (8, 1024),
    "noise_dimension": (0, 4096),
    "window_mm": (1.0, 1e5),
    "steps": (0, 10**12),
}
"""Least and greatest values in adapter.json: far beyond any use, so that a file that was tampered
with takes no more memory than the machine has."""

_REQUIRED: dict[str, tuple[type, ...]] = {
    "channels": (int,),
    "size": (int,),
    "noise_dimension": (int,),
    "window_mm": (float, int),
    "sha256": (dict,),
}
_OPTIONAL: dict[str, tuple[type, ...]] = {
    "preset": (str,),
    "config": (dict,),
    "steps": (int,),
    "class_names": (list,),
    "provenance": (str,),
    "figures": (dict,),
    "keeps_background": (bool,),
}
"""What only who trained the adapter can say; left out where nobody does."""


@dataclass(frozen=True)
class AdapterInfo:
    """What an adapter takes and where it came from; what nobody said of it is empty, or 0."""

    channels: int
    """3 (RGB) or 4 (RGB and depth)."""
    size: int
    """Crops are `size` x `size` pixels."""
    noise_dimension: int
    """Length of the noise vector z; 0 for a network that takes none."""
    window_mm: float
    """Side of the crop's window in millimetres, which also scales depth."""
    sha256: dict[str, str]
    """Hash of each network file, by file name: `generator.onnx`, and `generator.safetensors` where
    there are weights for torch."""
    preset: str = ""
    """Name of the settings that the training started from."""
    config: dict[str, Any] = field(default_factory=dict)
    """All settings of the training; `architecture` among them says what the weights are of."""
    steps: int = 0
    """Training steps done."""
    class_names: tuple[str, ...] = ()
    """Objects in the source crops."""
    provenance: str = ""
    """The data that the adapter was trained on."""
    figures: dict[str, Any] = field(default_factory=dict)
    """Measurements of the adapter's quality, by name."""
    cut: TargetCut | None = None
    """How the target's crops were cut, where that was said; sources were rendered so too."""
    keeps_background: bool = False
    """Whether it takes objects before a background and leaves that alone: depth that it is given is
    far (+1) off the objects, and only colours on them, and a pixel around, become others."""
    verdict: Verdict | None = None
    """What was measured of its crops beside the camera's, where it was."""


def read_info(folder: Path) -> AdapterInfo:
    """What adapter.json says, without looking at the network.

    Raises:
        AdapterError: it is absent, unreadable, of another version or incomplete.
    """
    file = folder / DESCRIPTION
    if not file.is_file():
        raise AdapterError(
            f"{folder} is not an adapter: it has no {DESCRIPTION}; give the folder that "
            "a training wrote"
        )
    try:
        fields = parse_json(read_file(file, most=MOST_DESCRIPTION_BYTES, inside=folder))
    except OSError as error:
        raise AdapterError(
            f"{file} cannot be read ({error.strerror}): copy the adapter again"
        ) from error
    except ValueError as error:
        raise AdapterError(f"{file} cannot be read as JSON ({error})") from error
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        version = fields.get("format") if isinstance(fields, dict) else None
        raise AdapterError(f"{file} has format {version!r:.40}; this version reads {FORMAT!r}")
    return info_of(fields, file)


def info_of(fields: dict[str, Any], file: Path) -> AdapterInfo:
    """What the fields of a description say.

    Args:
        fields: as JSON has them.
        file: where they stand, for messages.

    Raises:
        AdapterError: one is missing, of another kind or out of range.
    """
    for name, kinds in _REQUIRED.items():
        if not _is_one_of(fields.get(name), kinds):
            raise AdapterError(f"{file} lacks {name!r}, or it is not a {kinds[0].__name__}")
    for name, kinds in _OPTIONAL.items():
        if name in fields and not _is_one_of(fields[name], kinds):
            raise AdapterError(
                f"{file} has a {name!r} that is not a {kinds[0].__name__}; it may be left out"
            )
    for name, (least, greatest) in LIMITS.items():
        if name in fields and not least <= fields[name] <= greatest:
            raise AdapterError(
                f"{file} has {name} {fields[name]!r:.40}; it must be {least:g} to {greatest:g}"
            )
    class_names = fields.get("class_names", [])
    if not all(isinstance(name, str) for name in class_names):
        raise AdapterError(f"{file} has class_names that are not text")
    # Other names would be paths of a stranger's choice to files of the user's.
    if not {ONNX} <= fields["sha256"].keys() <= {ONNX, WEIGHTS}:
        raise AdapterError(
            f"{file} lacks the SHA-256 of {ONNX}, or has others than its and that of {WEIGHTS}"
        )
    stated = {name: fields[name] for name in (*_REQUIRED, *_OPTIONAL) if name in fields}
    changed = {"window_mm": float(fields["window_mm"]), "class_names": tuple(class_names)}
    cut = read_cut(fields["target_cut"], file) if fields.get("target_cut") is not None else None
    verdict = read_verdict(fields["verdict"], file) if fields.get("verdict") is not None else None
    return AdapterInfo(**{**stated, **changed, "cut": cut, "verdict": verdict})


def _is_one_of(value: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def description_of(info: AdapterInfo) -> bytes:
    """The content of the adapter.json that says so."""
    before = ("channels", "size", "noise_dimension", "window_mm")
    trained = ("preset", "steps", "class_names", "provenance", "figures")
    fields = {
        "format": FORMAT,
        **{name: getattr(info, name) for name in (*before, *trained)},
        "target_cut": None if info.cut is None else dataclasses.asdict(info.cut),
        "sha256": info.sha256,
        "config": info.config,
        **({"keeps_background": True} if info.keeps_background else {}),
        **({} if info.verdict is None else {"verdict": dataclasses.asdict(info.verdict)}),
    }
    return (json.dumps(fields, indent=2, ensure_ascii=False) + "\n").encode()


def save_verdict(folder: Path, verdict: Verdict) -> AdapterInfo:
    """Keep what was measured of an adapter in its description.

    Args:
        folder: the adapter's.
        verdict: its figures.

    Returns:
        The description, with them.

    Raises:
        AdapterError: there is no adapter, or its description cannot be written.
    """
    info = dataclasses.replace(read_info(folder), verdict=verdict)
    write_atomically(folder / DESCRIPTION, description_of(info))
    return info
