"""A run's settings in a TOML file, to be given again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checked_settings import SettingError, fitted_to, worded
from render_adapt._config import RunConfig
from render_adapt._stores.address import place_of
from safe_files import parse_toml, read_file, write_file

PRESET = "preset"
_MOST_BYTES = 2**20


def read_config(file: Path) -> dict[str, Any]:
    """Settings of `RunConfig` by name, and perhaps `preset`, which is as it stands in the file.

    Paths are as on the command line: relative to where that is given.

    Raises:
        SettingError: the file cannot be read, is no TOML, or holds what no run has.
    """
    try:
        content = parse_toml(read_file(file, most=_MOST_BYTES))
    except OSError as error:
        raise SettingError(
            f"`config` {file} cannot be read ({error.strerror}): give a file of settings, as "
            "`save_config` writes it"
        ) from None
    except ValueError as error:
        raise SettingError(f"{file} is not TOML ({error}): mend that line") from None
    preset = {PRESET: content.pop(PRESET)} if PRESET in content else {}
    try:
        settings = fitted_to(RunConfig, content)
        if "out" in settings:
            settings["out"] = place_of(content["out"])
        return preset | settings
    except SettingError as error:
        raise SettingError(f"{file}: {worded(str(error), str)}") from None


def write_config(file: Path, settings: Mapping[str, Any]) -> None:
    """Write settings of `RunConfig`, by name, as `read_config` takes them.

    Raises:
        SettingError: the file cannot be written.
    """
    lines = [f"{name} = {_as_toml(value)}" for name, value in settings.items()]
    text = "\n".join(["# render-adapt --config " + file.name, *lines, ""])
    try:
        write_file(file, text)
    except OSError as error:
        raise SettingError(
            f"`save_config` {file} cannot be written ({error.strerror}): give another file"
        ) from None
    except UnicodeEncodeError:
        raise SettingError(
            "`save_config` cannot write a name that is no text: rename that file or folder"
        ) from None


def _as_toml(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_as_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    # TOML's escapes are JSON's, but for this one character, which it does not take as it is.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
