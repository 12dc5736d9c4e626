"""Settings as JSON has them, as settings classes take them."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from render_adapt._exceptions import ConfigError

_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def settings_from_json(kind: type[Any], given: Any) -> dict[str, Any]:
    """The fields of a settings class that were given, each of its own kind.

    Args:
        kind: the class, a dataclass.
        given: what JSON has: lists stand for tuples, text for paths.

    Raises:
        ConfigError: there is no such field, or a value is of another kind; the message names it.
    """
    if not isinstance(given, Mapping):
        raise ConfigError("its settings are not values by name: renew the add-on")
    hints = get_type_hints(kind)
    unknown = sorted(given.keys() - {field.name for field in dataclasses.fields(kind)})
    if unknown:
        raise ConfigError(f"there is no setting {', '.join(unknown)}: renew the add-on")
    return {name: _taken(name, value, hints[name]) for name, value in given.items()}


def _taken(name: str, value: Any, hint: Any) -> Any:
    for allowed in _alternatives(hint):
        taken = _as(value, allowed)
        if taken is not _NOT:
            return taken
    wanted = " or ".join(map(_in_words, _alternatives(hint)))
    raise ConfigError(f"{name} is {str(value)[:40]!r}: it must be {wanted}")


_NOT: Any = object()
"""What `_as` gives for a value of another kind; None is a value."""


def _as(value: Any, hint: Any) -> Any:
    """A value as a type that is no union."""
    if get_origin(hint) is Literal:
        alike = [choice for choice in get_args(hint) if choice == value]
        return alike[0] if alike and type(alike[0]) is type(value) else _NOT
    if get_origin(hint) is tuple:
        return _as_tuple(value, get_args(hint))
    if hint is float and type(value) is int:
        return value
    if hint is Path and isinstance(value, str):
        return Path(value)
    return value if type(value) is hint else _NOT


def _as_tuple(value: Any, of: tuple[Any, ...]) -> Any:
    if not isinstance(value, list | tuple):
        return _NOT
    hints = of[:1] * len(value) if of[-1] is ... else of
    if len(hints) != len(value):
        return _NOT
    taken = tuple(_as(entry, hint) for entry, hint in zip(value, hints, strict=True))
    return _NOT if any(entry is _NOT for entry in taken) else taken


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _in_words(hint: Any) -> str:
    if hint is type(None):
        return "null"
    if get_origin(hint) is Literal:
        return ", ".join(map(str, get_args(hint)))
    if get_origin(hint) is tuple:
        return f"a list of {_in_words(get_args(hint)[0])}"
    return _WORDS.get(hint, "text" if hint is Path else str(hint))
