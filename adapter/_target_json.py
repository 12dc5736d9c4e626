"""JSON beside a target's pictures, which somebody else may have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter._errors import AdapterError

MOST_MM = 1e7
"""Of any number in a scene's files; ten kilometres are no pose."""
MOST_JSON_BYTES = 2**30


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        AdapterError: it is none, or larger than 1 GiB.
    """
    try:
        if file.stat().st_size > MOST_JSON_BYTES:
            raise AdapterError(f"{file} is larger than 1 GiB; give a part of the dataset")
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except AdapterError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise AdapterError(f"{file} cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise AdapterError(f"{file} is not a JSON object")
    return content


def numbers(values: Any, count: int) -> NDArray[np.float64] | None:
    """So many numbers of a sane size; None where they are not."""
    if not isinstance(values, list) or len(values) != count:
        return None
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        return None
    if not all(abs(value) <= MOST_MM for value in values):
        return None
    return np.array(values, dtype=np.float64)
