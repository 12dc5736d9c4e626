"""JSON beside a target's pictures, which somebody else may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter._errors import AdapterError
from safe_files import numbers_of, parse_json, read_file

MOST_MM = 1e7
"""Of any number in a scene's files; ten kilometres are no pose."""
MOST_JSON_BYTES = 2**30


def read_json(name: Path, folder: Path) -> dict[str, Any]:
    """A JSON object in a file of a target's folder.

    Raises:
        AdapterError: it is none, larger than 1 GiB, or not in the folder.
    """
    file = folder / name
    try:
        content = parse_json(read_file(file, most=MOST_JSON_BYTES, inside=folder))
    except OSError as error:
        raise AdapterError(
            f"{file} cannot be read ({error.strerror}): take it from a copy"
        ) from error
    except ValueError as error:
        raise AdapterError(f"{file} cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise AdapterError(f"{file} is not a JSON object")
    return content


def numbers(values: Any, count: int) -> NDArray[np.float64] | None:
    """So many numbers of a sane size; None where they are not."""
    checked = numbers_of(values, count, most=MOST_MM)
    return None if checked is None else np.array(checked, dtype=np.float64)
