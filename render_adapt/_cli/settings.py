"""Settings classes as options of a command."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args, get_type_hints

from cyclopts import App, ArgumentCollection, Parameter

from checked_settings import WrongValue, worded
from render_adapt._printable import printable
from renderer import ENGINES

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
"""An option without a value, which there is or is not."""


def in_flags(message: str) -> str:
    """A message as it is printed: on one line, its settings by their flags."""
    return printable(worded(message, lambda name: "--" + name.replace("_", "-")))


def optional_fields(kind: type[Any], defaults: str | None = None) -> Any:
    """A settings class with every field optional, so that what is not given is a preset's.

    Args:
        kind: the dataclass.
        defaults: what the help says about defaults; each field's own if not given.
    """
    documents, hints = _documents(kind), get_type_hints(kind)
    optional: list[tuple[str, Any, Any]] = []
    for field in dataclasses.fields(kind):
        default = f"[default: {defaults}]" if defaults else _own_default(field)
        parameter = Parameter(help=f"{documents[field.name]} {default}", show_default=False)
        hint: Any = _ON_COMMAND_LINE.get(field.name, hints[field.name]) | None
        optional.append((field.name, Annotated[hint, parameter], None))
    # cyclopts reads the fields of classes that say which module they are from.
    named = {"__module__": __name__}
    return dataclasses.make_dataclass("Settings", optional, frozen=True, namespace=named)


def _documents(kind: type[Any]) -> dict[str, str]:
    """What stands below each field of a class, by the field's name."""
    module = ast.parse(inspect.getsource(sys.modules[kind.__module__]))
    [body] = [
        node.body
        for node in module.body
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    ]
    return {
        field.target.id: " ".join(below.value.value.split())
        for field, below in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }


_ON_COMMAND_LINE: dict[str, Any] = {
    "randomize": str,
    "out": str,
    # The help names them all, those of other packages too.
    "renderer": Literal.__getitem__(tuple(ENGINES)),
}
"""Fields that Python takes as more than the command line does."""


def _own_default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        return "" if field.default_factory is dataclasses.MISSING else "[default: all cores]"
    if not field.default:
        return ""
    value = field.default
    return f"[default: {' '.join(map(str, value)) if isinstance(value, tuple) else value}]"


def refuse_fractions(app: App, commands: Sequence[str], arguments: ArgumentCollection) -> None:
    """Refuse 1.5 where a whole number is wanted, which cyclopts rounds.

    Raises:
        WrongValue: a number is not whole.
    """
    for argument in arguments:
        if int not in (argument.hint, *get_args(argument.hint)):
            continue
        for token in argument.tokens:
            if "." in token.value and not _is_whole(token.value):
                name = argument.name.removeprefix("--").replace("-", "_")
                raise WrongValue(name, token.value, "a whole number")


def _is_whole(number: str) -> bool:
    try:
        return float(number).is_integer()
    except ValueError:
        return True  # cyclopts says what is wrong with it


def given_settings(settings: Any) -> dict[str, Any]:
    values = {} if settings is None else vars(settings)
    return {name: value for name, value in values.items() if value is not None}
