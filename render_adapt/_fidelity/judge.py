"""Label fidelity: whether an adapted crop still shows what its label says."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adapter import (
    Adapter,
    AdapterError,
    AdapterInfo,
    Precision,
    adapter_folder,
    open_network,
)
from render_adapt._fidelity.calibration import CALIBRATION, PARTS, Calibration, read_calibration
from render_adapt._fidelity.label_view import (
    LabelView,
    colors_at_side,
    label_planes,
    label_view_of,
    picture_planes,
    values_at_side,
)
from render_adapt._fidelity.parts import depth_agreement, edge_agreement
from render_adapt._files import hash_file
from renderer import CropBatch
from safe_files import read_file

JUDGE = Path(__file__).parents[1] / "judge" / "judge.onnx"
"""The network that comes with the package."""
FEWEST_PIXELS = 16
"""Of 64 x 64: a target that is seen less than this has nothing to judge by."""
DIGITS = 3
"""Significant ones of a score, which is known no better: calibrations are of some 4,000 crops. What
processors compute otherwise lies below, and so do differences in what is kept and what is not."""
MOST_JUDGE_BYTES = 2**26
_LEAST = 1e-300
_CHUNK = 16
"""Crops that go through the network at once, always: scores do not depend on the batching."""


@dataclass(frozen=True)
class FidelityScores:
    """How well N crops agree with their labels, each number from 0 to 1.

    A part's number is the share of faithful crops that agree with their labels no better by that
    part: 0.01 is exceeded by 99 % of them. NaN where there is nothing to judge by: a target that is
    hidden, or depth that the adapter does not make. `Judge` rounds them to three digits.
    """

    edges: NDArray[np.float64]
    """(N,), by edges along the target's outline and inside it."""
    depth: NDArray[np.float64]
    """(N,), by depth, against the pose's."""
    judge: NDArray[np.float64]
    """(N,), by a network that compares crop and label."""

    @functools.cached_property
    def fidelity(self) -> NDArray[np.float64]:
        """(N,), the parts taken together by Fisher's method (1925).

        Of the k parts that are known, it is the share of faithful crops whose parts multiply to no
        more: q (1 + s + ... + s^(k-1) / (k-1)!) of their product q, where s = -log q. It too is
        exceeded by 99 % of them at 0.01, where the parts have nothing in common, as they have not
        (docs/fidelity.md).
        """
        parts = np.stack([self.edges, self.depth, self.judge])
        is_known = np.isfinite(parts)
        count = is_known.sum(axis=0)
        surprise = -np.log(np.maximum(np.where(is_known, parts, 1.0), _LEAST)).sum(axis=0)
        terms = sum(np.where(count > j, surprise**j / math.factorial(j), 0.0) for j in range(3))
        return significant(np.where(count > 0, np.exp(-surprise) * terms, np.nan))

    def __len__(self) -> int:
        return len(self.edges)

    def __getitem__(self, rows: NDArray[Any]) -> FidelityScores:
        """The scores of some crops."""
        return FidelityScores(self.edges[rows], self.depth[rows], self.judge[rows])

    @staticmethod
    def unknown(count: int) -> FidelityScores:
        """Of `count` crops that were not judged."""
        return FidelityScores(*(np.full(count, np.nan) for _ in PARTS))


class Judge:
    """Scores adapted crops against their labels, for any objects.

    Args:
        calibration: of the adapter whose crops are judged, or the general one.
        network: an ONNX file; the package's own by default.
        precision: what it computes in.
        device: "cpu", or another by torch's name of it.

    Raises:
        AdapterError: the calibration is of another network, or the package's own is damaged.
    """

    def __init__(
        self,
        calibration: Calibration,
        network: Path = JUDGE,
        precision: Precision = "fp32",
        device: str = "cpu",
    ) -> None:
        if calibration.judge_sha256 != hash_of_judge(network):
            raise AdapterError(
                "the fidelity calibration was made with another judge than this version's: "
                "calibrate the adapter anew with render-adapt calibrate"
            )
        self.calibration = calibration
        self._network = open_judge(network, precision, device)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing of how it ran, a sentence each."""
        return self._network.notes

    def score(self, crops: CropBatch, renders: CropBatch) -> FidelityScores:
        """Score N square crops, in any order and company: each depends on itself alone.

        Args:
            crops: as adapted.
            renders: the same crops as rendered from their plans, with their labels.
        """
        return scores_of(measure_parts(crops, renders, self._network), self.calibration)


def scores_of(
    values: Mapping[str, NDArray[np.float64]], calibration: Calibration
) -> FidelityScores:
    """Scores by a calibration.

    Args:
        values: the parts' plain numbers, (N,) each, as `measure_parts` gives them.
        calibration: of whose parts alone there are scores.
    """
    calibrated = calibration.quantiles
    nothing = np.full(len(values["edges"]), np.nan)
    return FidelityScores(
        *(
            significant(calibration.share(p, values[p])) if p in calibrated else nothing
            for p in PARTS
        )
    )


def significant(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores to as many digits as mean something; NaN stays NaN."""
    return np.array([float(f"{score:.{DIGITS}g}") for score in scores.ravel()]).reshape(
        scores.shape
    )


def make_judge(
    path: Path | str, adapter: Adapter, precision: Precision = "fp32", device: str = "cpu"
) -> Judge:
    """A judge of an adapter's crops.

    It goes by the calibration in the adapter's folder, of crops that this adapter made. An adapter
    without one is judged by the general calibration, of hardened renders with strong randomisation,
    whose pictures are other than an adapter's: fewer or more of its crops may lie below a limit
    than the limit says.

    Args:
        path: the adapter's, as `load_adapter` takes it.
        adapter: what was loaded from there.
        precision: what the judge computes in.
        device: "cpu", or another by torch's name of it.

    Raises:
        AdapterError: the calibration is damaged, or of another adapter.
    """
    folder = adapter_folder(path)
    file = folder / CALIBRATION
    if not file.exists():
        return Judge(general_calibration(adapter.info), precision=precision, device=device)
    calibration = read_calibration(file)
    if calibration.adapter_sha256 != adapter.info.sha256.get("generator.onnx"):
        raise AdapterError(
            f"{file} was made for another adapter than the one beside it: "
            f"calibrate it anew with render-adapt calibrate --adapter {folder}"
        )
    return Judge(calibration, precision=precision, device=device)


def general_calibration(adapter: AdapterInfo) -> Calibration:
    """The one that comes with the package, of hardened renders, as far as it is of such adapters.

    An adapter without depth leaves depth as rendered, of which there is nothing to say.
    """
    general = read_calibration(JUDGE.with_name(CALIBRATION))
    if adapter.channels == 4:
        return general
    quantiles = {part: q for part, q in general.quantiles.items() if part != "depth"}
    return replace(general, quantiles=quantiles)


def measure_parts(
    crops: CropBatch, renders: CropBatch, network: Verdicts
) -> dict[str, NDArray[np.float64]]:
    """The parts' plain numbers, (N,) each, the greater the better; NaN for hidden targets."""
    label = label_view_of(renders)
    rgb = colors_at_side(crops.rgb)
    values = {
        "edges": edge_agreement(rgb, label),
        "depth": depth_agreement(values_at_side(crops.depth), label),
        "judge": _verdicts(rgb, label, network),
    }
    hidden = label.visible.sum(axis=(1, 2)) < FEWEST_PIXELS
    return {part: np.where(hidden, np.nan, value) for part, value in values.items()}


def _verdicts(rgb: NDArray[np.uint8], label: LabelView, network: Verdicts) -> NDArray[np.float64]:
    """(N,), the network's log-odds that the label's pose is true, plus those that its object is."""
    planes = np.concatenate([picture_planes(rgb), label_planes(label)], axis=1)
    verdicts: NDArray[np.float64] = network(planes)[:, :2].sum(axis=1).astype(np.float64)
    return verdicts


def hash_of_judge(network: Path) -> str:
    """SHA-256 of a judge's file.

    Raises:
        AdapterError: it is the package's own, and not as it came with it.
    """
    sha256 = hash_file(network)
    if network == JUDGE and sha256 != read_calibration(JUDGE.with_name(CALIBRATION)).judge_sha256:
        raise AdapterError(
            f"{network} is not the file that came with this version (its SHA-256 differs): install "
            "render-adapt again"
        )
    return sha256


class Verdicts(Protocol):
    """The judge's network at work."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing of how it ran, a sentence each."""

    def __call__(self, planes: NDArray[np.float32], /) -> NDArray[np.float32]:
        """(N, 7) of (N, 8, 64, 64), each depending on its own planes alone."""


class _OnnxVerdicts:
    """By what `open_network` gives."""

    notes = ()

    def __init__(self, session: Any) -> None:
        self._session = session

    def __call__(self, planes: NDArray[np.float32], /) -> NDArray[np.float32]:
        results = []
        chunk = np.zeros((_CHUNK, *planes.shape[1:]), np.float32)
        for start in range(0, max(len(planes), 1), _CHUNK):
            part = planes[start : start + _CHUNK]
            chunk[: len(part)] = part
            (verdict,) = self._session.run(["verdict"], {"planes": chunk})
            results.append(verdict[: len(part)].copy())
        return np.concatenate(results)


def open_judge(network: Path, precision: Precision = "fp32", device: str = "cpu") -> Verdicts:
    """The judge's network: by ONNX Runtime or OpenVINO on the processor, else by torch."""
    content = read_file(network, most=MOST_JUDGE_BYTES)
    if device == "cpu":
        return _OnnxVerdicts(open_network(content, precision=precision))
    from render_adapt._fidelity.judge_in_torch import judge_in_torch

    return judge_in_torch(content, device, precision)
