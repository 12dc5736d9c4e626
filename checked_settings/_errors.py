"""What can go wrong, and how a sentence that names settings is worded for its reader."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

_MOST_SHOWN = 100
"""Characters of a value in a message."""
_NAME = re.compile("`([a-z][a-z0-9_]*)`")


class RenderAdaptError(Exception):
    """Root of all errors that a user's input or machine can cause: one sentence each."""


class SettingError(RenderAdaptError, ValueError):
    """Settings that cannot be used, one alone or several together."""


class WrongValue(SettingError):
    """A setting whose value breaks its rule.

    Args:
        name: the setting's, as Python has it.
        value: what it was given.
        rule: what ends the sentence "it must be ...".
    """

    def __init__(self, name: str, value: Any, rule: str) -> None:
        super().__init__(name, value, rule)
        self.name, self.value, self.rule = name, value, rule

    def __str__(self) -> str:
        return f"`{self.name}` is {_shown(self.value)}: it must be {self.rule}"


class MissingDependency(RenderAdaptError):
    """A package that this needs is not installed.

    Args:
        what: needs it; begins the sentence.
        package: what is not there.
        install: what pip is told to install.
    """

    def __init__(self, what: str, package: str, install: str) -> None:
        super().__init__(what, package, install)
        self.what, self.package, self.install = what, package, install

    def __str__(self) -> str:
        return f"{self.what} needs {self.package}; install with: pip install {self.install}"


def worded(text: str, word: Callable[[str], str]) -> str:
    """A message with the reader's words for settings in place of Python's.

    Args:
        text: has names of settings in backticks.
        word: gives the reader's word for a name.
    """
    return _NAME.sub(lambda match: word(match[1]), text)


def _shown(value: Any) -> str:
    """A value on one line, and no longer than a sentence bears."""
    text = str(value) if isinstance(value, str | Path) else repr(value)
    if not text or not text.isprintable():
        text = repr(text)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
