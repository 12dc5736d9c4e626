"""That Python finds render-adapt's packages, and nothing else that bears their names.

They are top-level packages with names that anybody's file or folder may have. Nothing but the
standard library is imported here, for any of them may be what is not found.
"""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path

OWN_PACKAGES = (
    "adapter", "cad_models", "checked_settings", "plug_ins", "render_adapt", "renderer",
    "safe_files",
)  # fmt: skip
"""All that is installed."""
_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The folder that they are in."""
_RAYS_WORKER = "default_worker.py"


class HiddenPackageError(ImportError):
    """Something else is found where one of render-adapt's packages is meant."""


def leave_working_directory() -> None:
    """Look for modules in the working directory no longer, where `python -m` put it first.

    Unless the packages are there: then this is a checkout that nobody has installed.
    """
    with contextlib.suppress(OSError):  # a working directory that is gone
        here = os.getcwd()
        if not sys.flags.safe_path and sys.path[:1] == [here] and not _same(here, _HOME):
            del sys.path[0]


def refuse_hidden() -> None:
    """Refuse to go on where a file or folder of somebody else would be imported as a package.

    Ray's workers look first where the run was started, as nobody asked them to: they look there
    last.

    Raises:
        HiddenPackageError: that is so.
    """
    for name in OWN_PACKAGES:
        found = _hiding(name)
        if found is not None and os.path.basename(sys.argv[0]) == _RAYS_WORKER:
            sys.path.append(sys.path.pop(0))
            found = _hiding(name)
        if found is not None:
            raise HiddenPackageError(
                f"{found} is found in place of render-adapt's own package {name}: rename it, or "
                "start Python elsewhere, or with -P",
                name=name,
                path=found,
            )


def _hiding(name: str) -> str | None:
    """What would be imported in place of one of the packages, if anything."""
    spec = find_spec(name)
    if spec is None:
        return None
    found = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
    own, folder = os.path.join(_HOME, name), os.path.dirname(found)
    return None if folder == own or _same(folder, own) else found


def refuse_own_name(setting: str, place: object) -> None:
    """Refuse to make a folder that Python would take for one of the packages.

    Args:
        setting: the name of what `place` was given as.
        place: where the folder is to be; anything but a path is let through.

    Raises:
        WrongValue: it is in the working directory, and has the name of a package.
    """
    from checked_settings import WrongValue

    if isinstance(place, Path) and place.name in OWN_PACKAGES and _same(place.parent, "."):
        raise WrongValue(
            setting, place, f"another name, for Python may take a folder {place.name} here for "
            "render-adapt's own package",
        )  # fmt: skip


def _same(one: str | Path, other: str | Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
