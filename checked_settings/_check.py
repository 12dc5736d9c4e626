"""Values against what a settings class says of its fields."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from checked_settings._errors import SettingError, WrongValue
from checked_settings._rules import Above, AtLeast, Rule, alternatives

_ONE = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    Path: "a path",
    Mapping: "values by name",
}
_MANY = {int: "whole numbers", float: "numbers", str: "texts", Path: "paths"}
_COUNTS = {1: "one", 2: "two", 3: "three", 4: "four"}


class _Unfit(Exception):
    """A value that is not allowed; its text ends the sentence "it must be ..."."""


def check(settings: Any) -> None:
    """Check all fields of a settings object by their annotations.

    Whole numbers may stand for numbers and lists for tuples. Numbers are finite.

    Args:
        settings: an instance of a dataclass, whose fields are numbers, truth values, texts, paths,
            `Literal`s, tuples of these, any of them or None; rules stand beside in `Annotated`.

    Raises:
        WrongValue: the first that is of another kind or breaks a rule.
    """
    _fitted_fields(settings)


def fit(settings: Any) -> None:
    """Check a settings object, and turn every value into its field's own kind.

    Equal settings are then written alike: 1 is 1.0 in a field of numbers, a list is a tuple, and
    text a path.

    Raises:
        WrongValue: as for `check`.
    """
    for name, value in _fitted_fields(settings).items():
        object.__setattr__(settings, name, value)


def fitted_to(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name, as a file or a message has them, as a settings class takes them.

    Args:
        kind: the class, a dataclass.
        values: the values of some of its fields.

    Raises:
        WrongValue: as for `check`.
        SettingError: there is no such field.
    """
    hints = _hints(kind)
    for name in values:
        if name not in hints:
            meant = difflib.get_close_matches(name, hints, n=1)
            advice = f"; did you mean {meant[0]}?" if meant else ""
            raise SettingError(f"there is no setting {name}: {', '.join(hints)} are known{advice}")
    return {name: _fitted_setting(name, hints[name], value) for name, value in values.items()}


@contextmanager
def known_as(owner: Any, **names: str) -> Iterator[None]:
    """Refuse by the names and values of the settings that others were made of.

    Args:
        owner: has those settings.
        names: the owner's name for each of the others'.

    Raises:
        WrongValue: in place of one that names one of the others.
    """
    try:
        yield
    except WrongValue as error:
        if error.name not in names:
            raise
        name = names[error.name]
        raise WrongValue(name, getattr(owner, name), error.rule) from None


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    """Annotations of a dataclass's fields by name."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _fitted_fields(settings: Any) -> dict[str, Any]:
    kind: Any = type(settings)
    hints = _hints(kind)
    return {
        name: _fitted_setting(name, hint, getattr(settings, name)) for name, hint in hints.items()
    }


def _fitted_setting(name: str, hint: Any, value: Any) -> Any:
    try:
        return _fitted(hint, value)
    except _Unfit as error:
        raise WrongValue(name, value, str(error)) from None


def _fitted(hint: Any, value: Any) -> Any:
    """A value as its annotation has it.

    Raises:
        _Unfit: it cannot be.
    """
    hint, rules = _parts(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return _fitted_to_any(get_args(hint), value)
    if get_origin(hint) is tuple:
        return _fitted_tuple(hint, rules, value)
    if get_origin(hint) is Literal:
        return _choice(get_args(hint), value)
    fitted = _of_kind(hint, value)
    if not (_is_finite(fitted) and all(rule.holds(fitted) for rule in rules)):
        raise _Unfit(_bounds(hint, rules))
    return fitted


def _fitted_to_any(hints: tuple[Any, ...], value: Any) -> Any:
    """The first kind that a value can be counts; of one that can be none, all are told."""
    if value is None and type(None) in hints:
        return None
    unfit = []
    for hint in hints:
        if hint is not type(None):
            try:
                return _fitted(hint, value)
            except _Unfit as error:
                unfit.append(str(error))
    raise _Unfit(alternatives(unfit))


def _fitted_tuple(hint: Any, rules: tuple[Rule, ...], value: Any) -> tuple[Any, ...]:
    hints, is_list = get_args(hint), isinstance(value, list | tuple)
    if is_list and hints[-1] is ...:
        hints = hints[:1] * len(value)
    try:
        if not is_list or len(hints) != len(value):
            raise _Unfit
        fitted = tuple(map(_fitted, hints, value))
        if not all(rule.holds(fitted) for rule in rules):
            raise _Unfit
    except _Unfit:
        raise _Unfit(_tuple_in_words(get_args(hint), rules)) from None
    return fitted


def _choice(choices: tuple[Any, ...], value: Any) -> Any:
    for choice in choices:
        if isinstance(value, bool) is isinstance(choice, bool) and value == choice:
            return choice
    raise _Unfit(alternatives(choices))


def _of_kind(kind: Any, value: Any) -> Any:
    """A value as a plain type."""
    if kind in (int, float):
        if isinstance(value, bool) or not isinstance(value, Integral if kind is int else Real):
            raise _Unfit(f"{_ONE[kind]}{', not a text' if isinstance(value, str) else ''}")
        try:
            return kind(value)
        except OverflowError:
            return math.inf
    if kind is Path and isinstance(value, str):
        return Path(value)
    kind = get_origin(kind) or kind
    if not isinstance(value, kind):
        raise _Unfit(_ONE.get(kind, f"of the class {kind.__name__}"))
    return value


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _parts(hint: Any) -> tuple[Any, tuple[Rule, ...]]:
    """An annotation's type, and the rules beside it."""
    return (hint.__origin__, hint.__metadata__) if get_origin(hint) is Annotated else (hint, ())


def _bounds(kind: Any, rules: tuple[Rule, ...]) -> str:
    """What the rules of a value say, all at once."""
    phrases = [rule.phrase for rule in rules]
    if kind is float and all(isinstance(rule, AtLeast | Above) for rule in rules):
        phrases.insert(0, "finite")
    return " and ".join(phrases)


def _tuple_in_words(hints: tuple[Any, ...], rules: tuple[Rule, ...]) -> str:
    """`two numbers from 1 to 5, the smaller one first`, `a list of texts`."""
    kind, of_each = _parts(hints[0])
    phrases = [rule.phrase for rule in rules]
    if get_origin(kind) is Literal:
        element = alternatives(get_args(kind))
    else:
        element = f"{_MANY[kind]} {_bounds(kind, of_each) if of_each else ''}".rstrip()
    count = "a list of" if hints[-1] is ... else _COUNTS[len(hints)]
    return ", ".join([f"{count} {element}", *phrases])
