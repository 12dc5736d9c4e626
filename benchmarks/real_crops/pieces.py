"""The benchmark in pieces, each with a JSON file of its figures."""

from __future__ import annotations

import fnmatch
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from adapter import CHECKPOINT, load_adapter
from benchmarks.real_crops.against import Features, compare, diversity, random_features
from benchmarks.real_crops.crops import RealCrops, held_out, read_real
from benchmarks.real_crops.estimators import RECIPES
from benchmarks.real_crops.figures import figures
from benchmarks.real_crops.sets import Sets
from benchmarks.real_crops.training import EstimatorSettings, EstimatorTraining, has_settled, train
from cad_models import CadModel, load_models
from render_adapt._paper.scenarios.linemod_crops import OBJECTS
from renderer import symmetry_quaternions
from safe_files import write_file

FEATURES_FROM = "resnet:e:0"
"""The estimator of whose features KID is taken, where it is trained."""
_DECISIVE = ("steps", "batch", "learning_rate")
"""Settings by which figures are other figures."""


class OutOfTime(Exception):
    """The minutes are over; what is done is kept."""


@dataclass(frozen=True)
class Plan:
    """What is measured, and with what means."""

    sets: Sets
    real: Mapping[str, Path]
    """Folders of real crops with labels to test on, by name: `test` is the figure."""
    seeds: int
    steps: int | None = None
    """Of every estimator, in place of its recipe's; for trying out."""
    device: str = "cpu"
    precision: str = "auto"
    adapters: tuple[str, ...] = ("shipped",)
    """Those by which sets may have been adapted: `shipped`, or folders."""

    @property
    def names(self) -> list[str]:
        """All pieces, most valuable first."""
        sets = self.sets.names
        trained = [
            f"{estimator}:{name}:{seed}"
            for seed in range(self.seeds)
            for estimator in RECIPES
            for name in sets
        ]
        return [*trained[: len(sets)], *(f"against:{name}" for name in sets), *trained[len(sets) :]]


class Work:
    """A plan at work in a folder.

    Args:
        plan: what is to be measured.
        say: called with a line for people.
        minutes: until when, from now; 0 is no limit.
    """

    def __init__(self, plan: Plan, say: Callable[[str], None], minutes: float = 0.0) -> None:
        self.plan, self.say, self.folder = plan, say, plan.sets.work
        self.end = time.monotonic() + 60 * minutes if minutes else float("inf")
        linemod = plan.sets.data / "linemod"
        self.models: list[CadModel] = load_models(OBJECTS, models=linemod / "models")
        self._real: dict[str, RealCrops] = {}
        self._told = 0.0

    def do(self, patterns: Sequence[str]) -> None:
        """Do the pieces that match a pattern and are not done, until the minutes are over.

        Raises:
            RenderAdaptError: one sentence that says why a piece cannot be done.
        """
        for name in self.plan.names:
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                continue
            if self.is_done(name):
                continue
            try:
                self._look_at_the_clock()
                self._do(name)
            except OutOfTime:
                self.say(f"{name}: not finished; the same command goes on")
                return

    def is_done(self, name: str) -> bool:
        """Whether a piece's figures are there: of the set as it is, trained as is asked for, on all
        real crops that are asked for."""
        result = self.result(name)
        if result is None:
            return False
        kind, which, *seed = name.split(":")
        sets = self.plan.sets
        if not sets.is_made(which) or result["set_sha256"] != sets.sha256(which):
            return False
        if kind == "against":
            return True
        asked, done = asdict(self.settings(kind, int(*seed))), result["training"]
        same = all(asked[setting] == done[setting] for setting in _DECISIVE)
        return same and set(self.plan.real) <= set(result["real"])

    def result(self, name: str) -> dict[str, Any] | None:
        """A piece's figures, where they are there."""
        file = self.piece(name) / "result.json"
        return json.loads(file.read_text()) if file.exists() else None

    def piece(self, name: str) -> Path:
        """Folder of a piece."""
        return self.folder / "pieces" / name.replace(":", "-")

    def real(self, name: str) -> RealCrops:
        """Real crops, read once."""
        if name not in self._real:
            sets = self.plan.sets
            linemod = sets.data / "linemod"
            folder = linemod / "crops/train" if name == "train" else self.plan.real[name]
            self._real[name] = read_real(linemod, folder, sets.real_crops)
        return self._real[name]

    def _do(self, name: str) -> None:
        kind, which, *seed = name.split(":")
        self._make(name, which)
        result = self._against(which) if kind == "against" else self._trained(kind, which, *seed)
        result |= {
            "piece": name,
            "set_sha256": self.plan.sets.sha256(which),
            "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        }
        self.piece(name).mkdir(parents=True, exist_ok=True)
        write_file(self.piece(name) / "result.json", (json.dumps(result, indent=1) + "\n").encode())
        self.say(f"{name}: done")

    def settings(self, kind: str, seed: int) -> EstimatorSettings:
        """How an estimator is trained."""
        recipe = RECIPES[kind]
        steps = self.plan.steps or recipe.steps
        return EstimatorSettings(
            kind, steps, recipe.batch, recipe.learning_rate, seed,
            checkpoint_every=max(1, steps // 8), device=self.plan.device,
            threads=self.plan.sets.threads, precision=self.plan.precision,
        )  # fmt: skip

    def _trained(self, kind: str, which: str, seed: str) -> dict[str, Any]:
        name = f"{kind}:{which}:{seed}"
        settings = self.settings(kind, int(seed))
        training = self._train(which, settings, name)
        if not training.finished:
            raise OutOfTime
        symmetries = symmetry_quaternions(self.models)
        tested = {
            real: figures(
                training.estimator.estimate(self.real(real).rgb), self.real(real), symmetries
            )
            for real in self.plan.real
        }
        return {
            "training": {**asdict(settings), "crops": len(training.crops)},
            "cpu_minutes": round(training.minutes, 1),
            "held_out": {"crops": len(training.held_out), "curve": training.curve},
            "settled": has_settled(training.curve),
            "real": tested,
        }

    def _train(self, which: str, settings: EstimatorSettings, name: str) -> EstimatorTraining:
        learnt, others = held_out(self.plan.sets.read(which, self.models))
        left = self.end - time.monotonic()
        if left <= 0:
            raise OutOfTime
        if np.isfinite(left):
            settings = replace(settings, max_minutes=left / 60)
        folder, show = self.piece(name), self._shower(name)
        return train(learnt, others, self.models, settings, folder, show)

    def _against(self, which: str) -> dict[str, Any]:
        sets, features = self.plan.sets, {"random convolutions": random_features()}
        if (learnt := self._learnt_features()) is not None:
            features[f"those of {FEATURES_FROM}"] = learnt
        rgb = sets.read(which, self.models).dense.rgb
        result = compare(rgb, self.real("train"), self.real("test"), features)
        hashes = sets.adapters(which)
        for adapter in map(load_adapter, self.plan.adapters if hashes else ()):
            if adapter.info.sha256["generator.onnx"] in hashes:
                result["diversity"] = diversity(adapter, self.models)
        return {**result, "adapted": bool(hashes)}

    def _learnt_features(self) -> Features | None:
        """Of an estimator that was trained on real labelled crops."""
        if not self.is_done(FEATURES_FROM):
            return None
        kind, which, seed = FEATURES_FROM.split(":")
        learnt, others = held_out(self.plan.sets.read(which, self.models))
        settings = self.settings(kind, int(seed))
        training = train(learnt, others, self.models, settings, self.piece(FEATURES_FROM))
        network: Any = training.estimator.network.eval()
        return lambda x: network.features(x.to(settings.device)).cpu()

    def standing(self, name: str) -> str:
        """How far a piece is, for people."""
        if self.is_done(name):
            return "done"
        return "begun" if (self.piece(name) / CHECKPOINT).exists() else ""

    def _look_at_the_clock(self) -> None:
        if time.monotonic() >= self.end:
            raise OutOfTime

    def _make(self, name: str, which: str) -> None:
        """Make what is missing of a set, until the minutes are over; finished shards stay."""
        told = self._shower(f"{name}, set {which}")

        def show(done: int, total: int) -> None:
            told(done, total)
            if done < total:
                self._look_at_the_clock()

        self.plan.sets.make(which, self.models, show)

    def _shower(self, what: str) -> Callable[[int, int], None]:
        def show(done: int, total: int) -> None:
            if time.monotonic() - self._told > 20 or done == total:
                self._told = time.monotonic()
                self.say(f"{what}: {done} of {total}")

        return show
