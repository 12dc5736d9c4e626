"""The names of LINEMOD's objects, and what an object may be called."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from cad_models._model import WrongObjects

LINEMOD_IDS = {
    "ape": 1,
    "benchvise": 2,
    "bowl": 3,
    "cam": 4,
    "can": 5,
    "cat": 6,
    "cup": 7,
    "driller": 8,
    "duck": 9,
    "eggbox": 10,
    "glue": 11,
    "holepuncher": 12,
    "iron": 13,
    "lamp": 14,
    "phone": 15,
}

LINEMOD_DIAMETERS = {
    1: 102.099,
    2: 247.506,
    3: 167.355,
    4: 172.492,
    5: 201.404,
    6: 154.546,
    7: 124.264,
    8: 261.472,
    9: 108.999,
    10: 164.628,
    11: 175.889,
    12: 145.543,
    13: 278.078,
    14: 282.601,
    15: 212.358,
}
"""Millimetres, as in the `models_info.json` of BOP's LM."""

_ALIASES = {
    "benchviseblue": "benchvise",
    "benchvice": "benchvise",
    "camera": "cam",
    "wateringcan": "can",
    "drill": "driller",
    "eggcarton": "eggbox",
    "gluebottle": "glue",
    "holepunch": "holepuncher",
    "telephone": "phone",
}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def check_name(name: str, entry: str) -> None:
    """Raise `WrongObjects` unless `name` can stand in file names, as every object's name does."""
    if not _NAME.fullmatch(name):
        raise WrongObjects(
            f"`objects` {entry}: {name!r} cannot be an object's name; use 1 to 64 letters, digits, "
            "'_' and '-', the first a letter or digit"
        )


def name_from_file(text: str) -> str | None:
    """A name that a file gives an object, made fit for file names; None where nothing is left."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")[:64]
    return name or None


def spelling(name: str) -> str:
    """What two spellings of one name have in common: case, `_`, `-` and blanks do not count.

    LINEMOD's aliases become LINEMOD's names: `Bench_Vise-Blue` gives `benchvise`.
    """
    letters = re.sub(r"[\s_-]+", "", name).casefold()
    return _ALIASES.get(letters, letters)


def unknown_name(name: str, names: Iterable[str], where: str) -> WrongObjects:
    """The error for a name that `where` does not have, with the nearest name that it has."""
    names = list(names)
    nearest = difflib.get_close_matches(spelling(name), names, n=1)
    hint = f" (did you mean {nearest[0]}?)" if nearest else ""
    return WrongObjects(f"`objects` {name}: not among {where}{hint}, which are {', '.join(names)}")
