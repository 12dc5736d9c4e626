"""Rules that stand beside a field's type: what holds of its values, and that in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Protocol


class Rule(Protocol):
    """What a value has to be beside of its type: `Annotated[TYPE, RULE]`."""

    @property
    def phrase(self) -> str:
        """What ends the sentence "it must be ..."."""

    def holds(self, value: Any) -> bool:
        """Whether a value of the right type is allowed."""


@dataclass(frozen=True)
class AtLeast:
    """Numbers from one on."""

    least: float

    @property
    def phrase(self) -> str:
        return f"at least {digits(self.least)}"

    def holds(self, value: Any) -> bool:
        return bool(value >= self.least)


@dataclass(frozen=True)
class Above:
    """Numbers beyond one."""

    bound: float

    @property
    def phrase(self) -> str:
        return f"above {digits(self.bound)}"

    def holds(self, value: Any) -> bool:
        return bool(value > self.bound)


@dataclass(frozen=True)
class AtMost:
    """Numbers up to one."""

    most: float

    @property
    def phrase(self) -> str:
        return f"at most {digits(self.most)}"

    def holds(self, value: Any) -> bool:
        return bool(value <= self.most)


@dataclass(frozen=True)
class Below:
    """Numbers short of one."""

    bound: float

    @property
    def phrase(self) -> str:
        return f"below {digits(self.bound)}"

    def holds(self, value: Any) -> bool:
        return bool(value < self.bound)


@dataclass(frozen=True)
class Between:
    """Numbers from one to another, both included."""

    least: float
    most: float
    unit: str = ""

    @property
    def phrase(self) -> str:
        return f"from {digits(self.least)} to {digits(self.most)} {self.unit}".rstrip()

    def holds(self, value: Any) -> bool:
        return bool(self.least <= value <= self.most)


@dataclass(frozen=True)
class Ascending:
    """Pairs whose first is not the greater one."""

    phrase: str = "the smaller one first"

    def holds(self, value: Any) -> bool:
        return bool(value[0] <= value[1])


@dataclass(frozen=True)
class NotEmpty:
    """Lists and texts with something in them."""

    phrase: str = "not empty"

    def holds(self, value: Any) -> bool:
        return len(value) > 0


@dataclass(frozen=True)
class OneOf:
    """Values that are known when they are asked for, as names that plugins add to."""

    known: Callable[[], Collection[str] | Collection[float]]

    @property
    def phrase(self) -> str:
        return alternatives(
            value if isinstance(value, str) else digits(value) for value in self.known()
        )

    def holds(self, value: Any) -> bool:
        return value in self.known()


@dataclass(frozen=True)
class Matching:
    """Texts of a form."""

    pattern: re.Pattern[str]
    phrase: str

    def holds(self, value: Any) -> bool:
        return self.pattern.fullmatch(value) is not None


def alternatives(choices: Iterable[object]) -> str:
    """`a, b or c`."""
    *most, last = map(str, choices)
    return f"{', '.join(most)} or {last}" if most else last


def digits(number: float) -> str:
    """A bound as people write it: 100000, 0.1."""
    return str(int(number)) if float(number).is_integer() else f"{number:g}"
