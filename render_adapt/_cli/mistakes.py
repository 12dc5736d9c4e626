"""What is wrong with a command line, in one sentence, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args, get_origin

from cyclopts import (
    App,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
)
from cyclopts.argument import Argument

from checked_settings import SettingError, WrongValue, alternatives, worded
from render_adapt._printable import printable

_KINDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false"}
_ALIKE = 0.6
"""From 0 to 1: below it, what is nearest was hardly meant."""
_SHORTEST = 3
"""Letters; of fewer, as of a unit, one that is shared says nothing."""


def sentence(error: CycloptsError) -> str:
    """What is wrong with a command line, with names of settings in backticks where they are set."""
    unknown = _unknown_option(error)
    if unknown is not None:
        return _no_such("option", unknown, _options(error.app))
    if isinstance(error, CoercionError) and error.token is not None and error.argument is not None:
        name = error.token.keyword or _shown(error.argument)
        return _wrong_value(name, error.token.value, error.target_type)
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        return _missing(error, error.argument)
    if error.unused_tokens:
        return _left_over(error, error.unused_tokens[0])
    text = " ".join(str(error).split()).rstrip(".")
    return printable(text[:1].lower() + text[1:])


def _unknown_option(error: CycloptsError) -> str | None:
    """What looks like an option and is none, whatever else is missing."""
    if isinstance(error, UnknownOptionError):
        return error.token.keyword or error.token.value
    if isinstance(error, MissingArgumentError):
        options = _options(error.app)
        for token in error.unused_tokens or ():
            name = token.partition("=")[0]
            if name.startswith("--") and name not in options:
                return name
    return None


def _options(app: App | None) -> list[str]:
    """The names of a command's options."""
    arguments = () if app is None else app.assemble_argument_collection()
    return [name for argument in arguments for name in argument.names if name.startswith("-")]


def _no_such(kind: str, given: str, known: Iterable[str]) -> str:
    meant = difflib.get_close_matches(given, list(known), n=1, cutoff=_ALIKE)
    advice = f"did you mean {meant[0]}?" if meant else "--help has them all"
    return f"there is no {kind} {printable(given)}: {advice}"


def _shown(argument: Argument) -> str:
    """What an argument is called: `--option`, or `PLACE` where it has no option."""
    return argument.name if argument.index is None else argument.name.lstrip("-").upper()


def as_typed(error: SettingError) -> str:
    """What is wrong with a setting, a value of several words as a command line has these."""
    if isinstance(error, WrongValue) and isinstance(error.value, tuple):
        words = " ".join(str(part).removesuffix(".0") for part in error.value)
        return str(WrongValue(error.name, words, error.rule))
    return str(error)


def _wrong_value(name: str, value: str, kind: Any) -> str:
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    rule = alternatives(choices) if choices else _KINDS.get(kind, "of another kind")
    near = difflib.get_close_matches(value, [str(choice) for choice in choices], 1, _ALIKE)
    meant = near if len(value) >= _SHORTEST else []
    advice = f"; did you mean {meant[0]}?" if meant else ""
    return worded(f"{WrongValue('value', value, rule)}{advice}", lambda _: name)


def _missing(error: MissingArgumentError, argument: Argument) -> str:
    command = _command(error)
    if error.keyword is None:
        return f"{_shown(argument)} is missing: {command} --help says what it is"
    count, _ = argument.token_count()
    values = "a value" if count == 1 else f"{count} values"
    got = f" and got {len(error.tokens_so_far)}" if error.tokens_so_far else ""
    return f"{error.keyword} needs {values}{got}: {command} --help says which"


def _left_over(error: CycloptsError, word: str) -> str:
    """What a word was meant for that no command or option takes."""
    tokens, app, command = list(error.root_input_tokens or ()), error.app, _command(error)
    before = tokens[: tokens.index(word)] if word in tokens else []
    options = [place for place, token in enumerate(before) if token.startswith("--")]
    if not options:
        if error.command_chain and not isinstance(error, UnknownCommandError):
            return f"{printable(word)} is one word too many: {command} --help says what it takes"
        return _no_such("command", word, _commands(app))
    if not error.command_chain and word in _commands(app):
        return f"{word} is a command: it comes first, as in render-adapt {word}"
    option, *values = before[options[-1] :]
    if _takes_a_list(app, option):
        following = tokens[len(before) :]
        rest = next(
            (place for place, token in enumerate(following) if token.startswith("-")),
            len(following),
        )
        meant = ",".join([*values, *following[:rest]])
        return f"{option} takes its values with commas: did you mean {option} {printable(meant)}?"
    return (
        f"{printable(word)} is one value too many for {option}: {command} --help says what it takes"
    )


def _command(error: CycloptsError) -> str:
    return " ".join(("render-adapt", *(error.command_chain or ())))


def _commands(app: App | None) -> Sequence[str]:
    return [] if app is None else [name for name in app if not name.startswith("-")]


def _takes_a_list(app: App | None, option: str) -> bool:
    arguments = () if app is None else app.assemble_argument_collection()
    return any(option in argument.names and argument.token_count()[1] for argument in arguments)
