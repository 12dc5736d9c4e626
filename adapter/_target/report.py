"""What was found in a target's folder, and what of it was left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

DAMAGED = "damaged"
UNOPENED = "not to be opened, or larger than 512 MiB"
NO_PICTURE_NUMBERS = "neither 8 nor 16 bits a colour"
LINKS = "links, which are not followed out of the folder"
HIDDEN_FILES = "hidden files, as macOS and others leave them"
UNREAD_KINDS = "kinds that are not read: save PNG or JPEG, and depth as 16-bit PNG or TIFF"
PREVIEWS = "previews, by their names"
MASKS = "masks or labels"
VIEWS = "drawings or other channels of crops that are there in colour"
ELSEWHERE = "pictures beside the folders of colour"
DEPTH_DRAWN = "depth drawn in colours, which measures nothing"
WIDE_BESIDE_COLOUR = "16-bit or float maps beside colour pictures"
DEPTH_DAMAGED = "crops whose depth is damaged"
DEPTH_ALONE = "depth of no crop, by its name"
UNMEASURED = "crops whose depth measures nothing"
UNKNOWN_FRAMES = "frames of which the scene's files do not say camera and objects"
UNSEEN = "objects that are hidden"
BEYOND_FRAME = "objects whose window leaves the frame"

_SKIPPED = (
    DAMAGED, UNOPENED, NO_PICTURE_NUMBERS, DEPTH_DAMAGED, UNMEASURED, UNKNOWN_FRAMES, BEYOND_FRAME,
)  # fmt: skip
"""Reasons for which a crop is missed that could have been one."""
_MOST_NAMED = 3


@dataclass(frozen=True)
class LeftOut:
    """So many files, or objects in frames, that are not trained on."""

    reason: str
    """What they are taken for, as in "55 as damaged"."""
    count: int
    example: str
    """The first of them, within the folder."""

    def __str__(self) -> str:
        return f"{self.count:,} as {self.reason} ({self.example})"


@dataclass(frozen=True)
class TargetReport:
    """What a target's folder was taken for: what a training is going to learn from."""

    crops: int
    folders: dict[str, int]
    """How many crops are from which folder, by its path within the target's; "." is itself."""
    smallest: tuple[int, int]
    """(width, height) of the smallest picture that crops were made of."""
    largest: tuple[int, int]
    with_depth: int
    """Crops that have depth in the folder, whether or not it is used."""
    channels: int
    """4 where depth is trained on, else 3."""
    depth_unit: str | None = None
    """What a depth value was taken for, and why; None without depth."""
    depth_mm: tuple[float, float, float] | None = None
    """Least, median and greatest depth that was measured, millimetres."""
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    """What was done to crops that are not plain 8-bit colours, and what looks wrong."""

    def lines(self) -> tuple[str, ...]:
        """The report as text, a line for each fact."""
        first = f"{counted(self.crops, 'crop')} from {self._places()}, {self._sizes()} pixels"
        return (
            first,
            self._depth(),
            *(f"left out: {reason}" for reason in self.left_out),
            *(f"note: {note}" for note in self.notes),
        )

    def _places(self) -> str:
        names = ["the folder itself" if name == "." else f"{name}/" for name in self.folders]
        if len(names) == 1:
            return names[0]
        more = ", ..." if len(names) > _MOST_NAMED else ""
        return f"{len(names)} folders ({', '.join(names[:_MOST_NAMED])}{more})"

    def _sizes(self) -> str:
        small, large = (f"{width}x{height}" for width, height in (self.smallest, self.largest))
        return small if small == large else f"{small} to {large}"

    def _depth(self) -> str:
        if not self.with_depth:
            return "no depth: colour alone"
        share = "all" if self.with_depth == self.crops else f"{self.with_depth} of them"
        if self.channels == 3 or self.depth_mm is None:
            return f"depth of {share} is left aside: colour alone"
        least, middle, most = self.depth_mm
        return (
            f"depth of {share}, {self.depth_unit}: {least:.0f} to {most:.0f} mm, "
            f"median {middle:.0f} mm"
        )


@dataclass
class Tally:
    """Keeps what is left out while a folder is read."""

    _found: list[tuple[str, str]] = field(default_factory=list)

    def add(self, reason: str, name: object) -> None:
        """One more, by its path within the folder."""
        self._found.append((reason, str(name)))

    def left_out(self) -> tuple[LeftOut, ...]:
        """By reason, in the order in which they were met."""
        counts = Counter(reason for reason, _ in self._found)
        first = dict(reversed(self._found))
        return tuple(LeftOut(reason, count, first[reason]) for reason, count in counts.items())

    def skipped(self) -> tuple[str, ...]:
        """What could have been a crop."""
        return tuple(name for reason, name in self._found if reason in _SKIPPED)

    def in_brackets(self) -> str:
        """All reasons, to end a message with; empty where nothing is left out."""
        return f" (left out: {'; '.join(map(str, self.left_out()))})" if self._found else ""


def counted(number: int, noun: str) -> str:
    """`1 crop`, `2 crops`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
