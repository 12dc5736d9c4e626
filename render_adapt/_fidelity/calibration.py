"""What the numbers of faithful crops are, so that a crop's own can be told as a share of theirs."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter import AdapterError
from checked_settings import SettingError
from safe_files import parse_json, read_file

CALIBRATION = "fidelity.json"
"""In an adapter's folder."""
FORMAT = "render-adapt fidelity 1"
PARTS = ("edges", "depth", "judge")
"""What a crop is compared by."""
SHARES = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0,
)  # fmt: skip
"""Shares of the crops for which the numbers that they do not exceed are kept."""
_LARGEST_FILE = 1 << 20


@dataclass(frozen=True)
class Calibration:
    """How the parts' numbers are distributed over crops whose labels are true."""

    quantiles: Mapping[str, NDArray[np.float64]]
    """Of each part, (16,): the number that the shares `SHARES` of the crops do not exceed. A part
    that those crops had nothing for, depth without depth, is absent."""
    adapter_sha256: str | None
    """Of the `generator.onnx` that made the crops; None where they are renders."""
    judge_sha256: str
    """Of the judge network that looked at them."""
    crops: int
    """How many they were."""
    objects: tuple[str, ...]
    """What they showed."""

    def share(self, part: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,), the share of the crops that agree with their labels no better, 0 to 1.

        Below the least share that is kept it goes on falling exponentially, as it does between
        that and ten times it, so that bad crops are told from worse ones. NaN stays NaN.
        """
        quantiles = self.quantiles[part]
        shares = np.interp(values, quantiles, SHARES)
        ten = SHARES.index(10 * SHARES[0])
        scale = max((quantiles[ten] - quantiles[0]) / math.log(10), 1e-9)
        tail = SHARES[0] * np.exp(np.minimum(values - quantiles[0], 0.0) / scale)
        return np.where(values < quantiles[0], tail, shares)


def measure(
    parts: Mapping[str, NDArray[np.float64]],
    *,
    adapter_sha256: str | None,
    judge_sha256: str,
    objects: tuple[str, ...],
) -> Calibration:
    """A calibration from the parts' numbers of many crops, NaN where there is none.

    Raises:
        SettingError: there are fewer than 1,000 crops to go by.
    """
    finite = {part: values[np.isfinite(values)] for part, values in parts.items()}
    crops = max(map(len, finite.values()))
    if crops < 1 / SHARES[0]:
        raise SettingError(
            f"{crops} crops show their target well enough to calibrate fidelity: give 1000 or more"
        )
    return Calibration(
        quantiles={k: np.quantile(v, SHARES, method="lower") for k, v in finite.items() if len(v)},
        adapter_sha256=adapter_sha256,
        judge_sha256=judge_sha256,
        crops=crops,
        objects=objects,
    )


def write_calibration(calibration: Calibration) -> str:
    """The text of a calibration's file."""
    quantiles = {part: list(map(float, q)) for part, q in calibration.quantiles.items()}
    fields = {
        "format": FORMAT,
        "adapter_sha256": calibration.adapter_sha256,
        "judge_sha256": calibration.judge_sha256,
        "crops": calibration.crops,
        "objects": list(calibration.objects),
        "shares": list(SHARES),
        "quantiles": quantiles,
    }
    return json.dumps(fields, indent=1) + "\n"


def read_calibration(path: Path) -> Calibration:
    """Read a calibration's file, which is not trusted.

    Raises:
        AdapterError: it cannot be read, or is none of this version.
    """
    advice = "delete it, and calibrate the adapter anew with render-adapt calibrate"
    try:
        fields: Any = parse_json(read_file(path, most=_LARGEST_FILE, inside=path.parent))
    except OSError as error:
        raise AdapterError(f"{path} cannot be read ({error.strerror}); {advice}") from None
    except ValueError:
        raise AdapterError(f"{path} is not JSON; {advice}") from None
    if not _is_calibration(fields):
        raise AdapterError(f"{path} is no fidelity calibration of this version; {advice}")
    return Calibration(
        quantiles={k: np.array(v, np.float64) for k, v in fields["quantiles"].items()},
        adapter_sha256=fields["adapter_sha256"],
        judge_sha256=fields["judge_sha256"],
        crops=fields["crops"],
        objects=tuple(fields["objects"]),
    )


def _is_calibration(fields: Any) -> bool:
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        return False
    quantiles, objects = fields.get("quantiles"), fields.get("objects")
    return (
        fields.get("shares") == list(SHARES)
        and isinstance(fields.get("adapter_sha256", 0), str | None)
        and isinstance(fields.get("judge_sha256"), str)
        and type(fields.get("crops")) is int
        and isinstance(objects, list)
        and all(isinstance(name, str) for name in objects)
        and isinstance(quantiles, dict)
        and {"edges", "judge"} <= quantiles.keys() <= set(PARTS)
        and all(_are_quantiles(values) for values in quantiles.values())
    )


def _are_quantiles(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) == len(SHARES)
        and all(type(value) in (int, float) and abs(value) < 1e6 for value in values)
        and all(low <= high for low, high in itertools.pairwise(values))
    )
