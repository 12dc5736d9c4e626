"""Settings classes as options of a command."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, get_type_hints

from cyclopts import Parameter
from docstring_parser import parse_from_object


def optional_fields(kind: type[Any], defaults: str | None = None) -> Any:
    """A settings class with every field optional, so that what is not given is a preset's.

    Args:
        kind: the dataclass.
        defaults: what the help says about defaults; each field's own if not given.
    """
    documents = {param.arg_name: param.description for param in parse_from_object(kind).params}
    hints = get_type_hints(kind)
    optional: list[tuple[str, Any, Any]] = []
    for field in dataclasses.fields(kind):
        default = f"[default: {defaults}]" if defaults else _own_default(field)
        parameter = Parameter(help=f"{documents[field.name]} {default}", show_default=False)
        hint: Any = _ON_COMMAND_LINE.get(field.name, hints[field.name]) | None
        optional.append((field.name, Annotated[hint, parameter], None))
    # cyclopts reads the fields of classes that say which module they are from.
    named = {"__module__": __name__}
    return dataclasses.make_dataclass("Settings", optional, frozen=True, namespace=named)


_ON_COMMAND_LINE: dict[str, Any] = {"randomize": str}
"""Fields that Python takes as more than the command line does."""


def _own_default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        return "" if field.default_factory is dataclasses.MISSING else "[default: all cores]"
    if field.default is None or field.default == 0:
        return ""
    value = field.default
    return f"[default: {' '.join(map(str, value)) if isinstance(value, tuple) else value}]"


def given_settings(settings: Any) -> dict[str, Any]:
    given = {} if settings is None else vars(settings)
    return {name: value for name, value in given.items() if value is not None}
