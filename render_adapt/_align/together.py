"""Poses of many crops of the same objects, made to agree with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._align.aligner import Aligned, Aligner, TargetView
from render_adapt._align.appearance import Appearance, Lattice, contrasts
from render_adapt._align.evidence import Evidence, Others
from render_adapt._align.search import Poses, Round

_STREAM = 44
FEWEST_CROPS = 20
"""Of an object, below which there is too little to compare with."""
_DOUBTFUL = 0.5
"""Of the middle share that is as others show it: a crop with less is looked at anew."""
_OTHER_POSES = 150
"""Poses of other crops that are tried for it."""
_AROUND_THEM = (Round(60, 20.0, 0.010, 0.010),)
"""What is tried around the best of these."""


@dataclass(frozen=True)
class _Pass:
    """How all poses are bettered once."""

    blur: float
    """Of a 64-pixel crop's pixels: how far pictures are softened."""
    smooth: float
    """Likewise: how far neighbours on a surface share what they show."""
    rounds: tuple[Round, ...]


_COARSE = (
    Round(40, 8.0, 0.010, 0.010), Round(30, 5.0, 0.006, 0.006), Round(30, 3.0, 0.004, 0.004)
)  # fmt: skip
_MIDDLE = (
    Round(40, 5.0, 0.006, 0.006), Round(30, 3.0, 0.004, 0.004), Round(30, 1.5, 0.003, 0.003)
)  # fmt: skip
_FINE = (
    Round(40, 3.5, 0.005, 0.005), Round(30, 1.7, 0.003, 0.003), Round(30, 0.9, 0.002, 0.002)
)  # fmt: skip
PASSES = (
    _Pass(1.2, 1.3, _COARSE), _Pass(1.2, 1.0, _COARSE), _Pass(0.7, 0.65, _MIDDLE),
    _Pass(0.7, 0.5, _FINE),
)  # fmt: skip


def agree_together(
    aligner: Aligner,
    view: TargetView,
    aligned: Aligned,
    sure: NDArray[np.bool_],
    window: float,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Aligned, dict[str, float]]:
    """Better poses by what all crops of an object show in common.

    The crops of an object are halved by chance. What one half shows is gathered on the object's
    surface and on the ground around it; the other half's poses are bettered by how well it is drawn
    there, and then the other way round, in four goes that look closer. Nothing that a crop shows
    itself speaks for its own pose. A crop that is little like the others in its pose, from the
    second go on, begins near the best of theirs, if that is better: so it may turn round.

    Args:
        aligner: what found the poses.
        view: N crops.
        aligned: their poses.
        sure: (N,), those whose poses are to be trusted: others are bettered, but not gathered from.
        window: side of what a crop shows, millimetres.
        on_progress: called with (crops done, in all) of all goes.

    Returns:
        The same crops, objects with fewer than 20 sure ones as they were; and for each other object
        the share of what is seen around it, on the ground, that is as others show it.
    """
    objects = [
        rows
        for rows in (
            np.flatnonzero(aligned.found & (aligned.poses.object_index == number))
            for number in range(len(aligner.models))
        )
        if sure[rows].sum() >= FEWEST_CROPS
    ]
    poses = _copied(aligned.poses)
    around: dict[str, float] = {}
    total, done = len(PASSES) * sum(map(len, objects)), 0
    for rows in objects:
        model = aligner.models[int(poses.object_index[rows[0]])]
        meeting = _Meeting(
            aligner, view, aligner.evidence(view[rows]), rows, sure[rows], model, window
        )
        found = poses[rows]
        for number, one in enumerate(PASSES):
            found = meeting.bettered(found, one, number)
            done += len(rows)
            if on_progress:
                on_progress(done, total)
        around[model.name] = meeting.surroundings(found)
        poses.rotation[rows], poses.translation[rows] = found.rotation, found.translation
    return aligner.judged(view, poses, aligned.found) if objects else aligned, around


class _Meeting:
    """The crops of one object.

    Args:
        aligner: what found the poses.
        view: all crops.
        evidence: of those of this object.
        rows: which they are.
        sure: those to gather from.
        model: the object.
        window: side of what a crop shows, millimetres.
    """

    def __init__(
        self,
        aligner: Aligner,
        view: TargetView,
        evidence: Evidence,
        rows: NDArray[np.int64],
        sure: NDArray[np.bool_],
        model: CadModel,
        window: float,
    ) -> None:
        self._search, self._seed = aligner.search, aligner.seed
        self._evidence, self._sure = evidence, sure
        self._rgb, self._numbers = view.rgb[rows], view.numbers[rows]
        self._size = view.rgb.shape[1]
        self._lattice = Lattice.of(model, window, self._size)

    def bettered(self, poses: Poses, one: _Pass, number: int) -> Poses:
        """All poses, each half by the other."""
        random = np.random.default_rng([self._seed, number, _STREAM])
        result = _copied(poses)
        for rows, others, asked in self._halves(poses, one, random):
            evidence = replace(self._evidence[rows], others=asked)
            begun = poses[rows]
            if number:
                numbers = self._numbers[rows]
                begun = self._restarted(evidence, begun, numbers, poses[others], random)
            better, _ = self._search.improve(
                evidence, begun, self._numbers[rows], self._seed + number + 1, one.rounds
            )
            result.rotation[rows], result.translation[rows] = better.rotation, better.translation
        return result

    def surroundings(self, poses: Poses) -> float:
        """The share of what is seen on the ground that is as others show it."""
        random = np.random.default_rng([self._seed, len(PASSES), _STREAM])
        shares = [
            asked.appearance.around(self._search.draw(poses[rows]), asked.contrasts)
            for rows, _, asked in self._halves(poses, PASSES[-1], random)
        ]
        return float(np.concatenate(shares).mean())

    def _halves(
        self, poses: Poses, one: _Pass, random: np.random.Generator
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Others]]:
        """Of either half: which crops it has, which are sure of the other, and what those show."""
        scale = self._size / 64
        seen = contrasts(self._rgb, one.blur * scale)
        channels_first = torch.from_numpy(np.ascontiguousarray(seen.transpose(0, 3, 1, 2)))
        half = random.permutation(len(poses)) % 2 == 0
        for mine in (half, ~half):
            rows, others = np.flatnonzero(mine), np.flatnonzero(~mine & self._sure)
            drawn = self._search.draw(poses[others])
            appearance = Appearance.gather(self._lattice, drawn, seen[others], one.smooth * scale)
            yield rows, others, Others(appearance, channels_first[rows])

    def _restarted(
        self,
        evidence: Evidence,
        poses: Poses,
        numbers: NDArray[np.int64],
        others: Poses,
        random: np.random.Generator,
    ) -> Poses:
        """The poses, those that are doubtful near the best of some others."""
        agreed = self._search.compare(evidence, poses)
        doubtful = np.flatnonzero(agreed.appearance < _DOUBTFUL * np.median(agreed.appearance))
        tried = others[random.permutation(len(others))[:_OTHER_POSES]]
        result = _copied(poses)
        for row in doubtful:
            alone = evidence[np.array([row])]
            best = int(self._search.compare(alone, tried).total.argmax())
            near, found = self._search.improve(
                alone, tried[np.array([best])], numbers[[row]], self._seed, _AROUND_THEM
            )
            if found.total[0] > agreed.total[row]:
                result.rotation[row], result.translation[row] = (
                    near.rotation[0], near.translation[0],
                )  # fmt: skip
        return result


def _copied(poses: Poses) -> Poses:
    return Poses(*(value.copy() for value in vars(poses).values()))
