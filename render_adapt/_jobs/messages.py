"""How a user interface and the process that works for it speak: a job's file, and JSON lines.

The job is a JSON file; what becomes of it are lines on the process's standard output, one message
each, and its errors and everything else go to standard error. The process ends, leaving nothing
half-written that counts, when its standard input does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from checked_settings import Between, SettingError, check
from safe_files import parse_json, read_file, write_file

_MOST_JOB_BYTES = 2**24
MOST_SHOWN = 1000


@dataclass(frozen=True)
class Job:
    """Work for another process.

    Raises:
        WrongValue: there is no work of that kind.
    """

    kind: Literal["generate", "preview", "learn", "verify", "check"]
    """`generate`, a dataset; `preview`, a picture of its first crops; `learn`, an adapter;
    `verify`, whether a dataset is sound, and mending it; `check`, whether this Python can do
    these."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """By name: of `RunConfig` for `generate` and `preview`; of `TrainRun` and `TrainConfig`, with
    `preset`, for `learn`; of `DatasetCheck` for `verify`. `models` may be a .blend file, and
    `objects` names in it."""
    picture: str = ""
    """The PNG file that `preview` writes, and `learn` renews."""
    crops: Annotated[int, Between(1, MOST_SHOWN)] = 4
    """How many crops the picture shows."""

    def __post_init__(self) -> None:
        """Check the kinds of all that another process may have got wrong."""
        check(self)


@dataclass(frozen=True)
class Working:
    """What the process is at, before it has anything to count."""

    message: str


@dataclass(frozen=True)
class Generating:
    """How far a dataset is."""

    done: int
    total: int
    crops_per_second: float
    """Of those made since the start; 0 before any is."""
    seconds_left: float | None
    """None before any is made."""


@dataclass(frozen=True)
class Preview:
    """The picture is written."""

    picture: str
    crops: int
    seconds: float
    notes: list[str]


@dataclass(frozen=True)
class Target:
    """What there is to learn from, before learning begins."""

    crops: int
    with_depth: int
    lines: list[str]
    """Of the report: crops, depth, what was left out and why."""
    contact_sheet: str
    """The picture of the crops."""


@dataclass(frozen=True)
class Learning:
    """How far an adapter is."""

    step: int
    steps: int
    losses: dict[str, float]
    steps_per_second: float
    seconds_left: float | None
    picture: str | None
    """Where it has just been renewed."""


@dataclass(frozen=True)
class Generated:
    """A dataset is whole."""

    folder: str
    crops: int
    redrawn: int
    dropped: int
    seconds: float
    stage_seconds: dict[str, float]
    contact_sheet: str
    notes: list[str]
    sha256: str = ""
    """Of the whole dataset, for `render-adapt verify --sha256`."""


@dataclass(frozen=True)
class Learned:
    """An adapter is trained as far as was asked."""

    folder: str
    steps: int
    verdict: str = ""
    """What the adapter is worth, for people; settings are in backticks."""


@dataclass(frozen=True)
class Verified:
    """A dataset is looked through, and mended where that was asked and needed."""

    folder: str
    sound: str
    """What was found in order, a sentence; empty where something is bad."""
    bad: str
    """The first bad file, and how much is bad; empty where nothing is."""
    notes: list[str]
    """Of mending, a sentence each; settings are in backticks."""


@dataclass(frozen=True)
class Checked:
    """What a Python can do."""

    version: str
    """Of render-adapt."""
    python: str
    torch: str | None
    """Its version, None where it is missing."""
    gpu: str | None
    """The name of the GPU that torch uses, None where there is none."""


@dataclass(frozen=True)
class Failed:
    """The job cannot be done: one sentence with what to do."""

    message: str


Message = (
    Working
    | Generating
    | Preview
    | Target
    | Learning
    | Generated
    | Learned
    | Verified
    | Checked
    | Failed
)

_KINDS: dict[str, type[Any]] = {
    "working": Working, "crops": Generating, "preview": Preview, "target": Target,
    "learning": Learning, "dataset": Generated, "learned": Learned,
    "verified": Verified, "checked": Checked, "failed": Failed,
}  # fmt: skip
"""By what a line calls them."""
_NAMES = {kind: name for name, kind in _KINDS.items()}
_MARK = '{"render-adapt": '
"""How a message's line begins: Blender prints lines of its own."""


def write_job(path: Path, job: Job) -> None:
    """Write a job's file; paths among the settings become text."""
    write_file(path, json.dumps(asdict(job), default=str, indent=1))


def read_job(path: Path) -> Job:
    """Read a job's file.

    Raises:
        SettingError: it is none.
    """
    try:
        return Job(**parse_json(read_file(path, most=_MOST_JOB_BYTES)))
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise SettingError(f"{path} is no job of this version: {error}") from None


def encode_message(message: Message) -> str:
    """A message as a line, without its end."""
    return json.dumps({"render-adapt": _NAMES[type(message)], **asdict(message)})


def decode_message(line: str) -> Message | None:
    """The message that a line is; None where it is something else that was printed."""
    if not line.startswith(_MARK):
        return None
    content = json.loads(line)
    kind = _KINDS[content.pop("render-adapt")]
    names = {entry.name for entry in fields(kind)}
    message: Message = kind(**{name: value for name, value in content.items() if name in names})
    return message
