"""What comes with us and what other packages bring, by name."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

_T = TypeVar("_T")
_ADVICE = "mend or remove the package that brings it"

_logger = logging.getLogger(__name__)


class PlugIns(Mapping[str, _T]):
    """Objects by name: ours first, then those that entry points of other packages name.

    Those of others are looked for when a name is asked for that is none of ours, or when all names
    are; an object of theirs is loaded when it is asked for itself. So one that is broken stops
    nothing but what uses it. Our names are ours: an entry point of such a name is left out, with a
    warning.

    Args:
        group: of the entry points.
        word: what one of the objects is, in a message: `engine`.
        kind: the class that each of them is of.
        shipped: ours.
        names_of: the names that an object goes by; its entry point has one of them.
        error: what is raised, with one sentence, where another package's object cannot be used.
    """

    def __init__(
        self,
        group: str,
        word: str,
        kind: type[Any],
        shipped: Mapping[str, _T],
        names_of: Callable[[_T], tuple[str, ...]],
        error: type[Exception],
    ) -> None:
        self._group, self._word, self._kind = group, word, kind
        self._shipped, self._names_of, self._error = dict(shipped), names_of, error
        self._loaded: dict[str, _T] = {}

    def __getitem__(self, name: str) -> _T:
        """The object of a name.

        Raises:
            KeyError: there is none.
            Exception: of the class `error`, where it is another package's and cannot be used.
        """
        if name in self._shipped:
            return self._shipped[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(*self._points[name])
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._shipped or name in self._points

    def __iter__(self) -> Iterator[str]:
        yield from self._shipped
        yield from self._points

    def __len__(self) -> int:
        return len(self._shipped) + len(self._points)

    @functools.cached_property
    def _points(self) -> dict[str, list[EntryPoint]]:
        """The others' by name, in order of their names."""
        points: dict[str, list[EntryPoint]] = {}
        for point in sorted(
            entry_points(group=self._group), key=lambda point: (point.name, point.value)
        ):
            if point.name in self._shipped:
                _logger.warning(
                    "The %s %s of %s is left out, for there is one of that name: give it another.",
                    self._word, point.name, point.value,
                )  # fmt: skip
            else:
                points.setdefault(point.name, []).append(point)
        return points

    def _load(self, point: EntryPoint, *others: EntryPoint) -> _T:
        named = f"the {self._word} {point.name} of {point.value}"
        if others:
            raise self._error(f"{named} has the name of that of {others[0].value}: remove one")
        try:
            plug_in = point.load()
            fits = isinstance(plug_in, self._kind) and point.name in self._names_of(plug_in)
        except Exception as error:
            # Another package's code runs here, and may do wrong whatever code can.
            raise self._error(
                f"{named} cannot be loaded ({type(error).__name__}: {error}): {_ADVICE}"
            ) from error
        if not fits:
            kind = f"{self._kind.__module__.split('.')[0]}.{self._kind.__name__}"
            raise self._error(f"{named} is no {kind} of that name: {_ADVICE}")
        loaded: _T = plug_in
        return loaded
