"""The training sets: datasets that `render-adapt` wrote, or writes here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.real_crops.crops import LabelledCrops, joined, read_set
from benchmarks.real_crops.labelled import write_labelled
from cad_models import CadModel
from render_adapt import RunConfig, generate
from render_adapt._paper.scenarios.linemod_crops import OBJECTS, WINDOW
from render_adapt._runs.manifest import LISTING
from render_adapt._runs.run_folder import INCOMPLETE
from renderer import RANDOMIZATIONS, Randomization, read_randomization

RANDOMISED = Path(__file__).parent / "randomised.toml"
SEED = 16
"""Of the datasets. Estimators have seeds of their own."""


@dataclass(frozen=True)
class Made:
    """A dataset that is made here: crops cut around the mean of the vertices, on the axis."""

    says: str
    randomised: bool
    adapter: str


MADE = {
    "a": Made("plain renders", randomised=False, adapter="none"),
    "b": Made("the best randomisation (randomised.toml)", randomised=True, adapter="none"),
    "c": Made("adapted crops (shipped adapter)", randomised=False, adapter="shipped"),
}


@dataclass(frozen=True)
class Labelled:
    """Real crops of the target with their labels.

    Args:
        says: what it is.
        along_rays: whether labels count as seen along known or estimated rays.
        each: so many crops of each object; all if not given.
    """

    says: str
    along_rays: bool = False
    each: int | None = None


LABELLED = {
    "e": Labelled("real crops with their labels, taken as seen straight"),
    "e_rays": Labelled(
        "real crops with their labels, as seen along known or estimated rays", along_rays=True
    ),
    "e_1000": Labelled(
        "1,000 real crops with their labels, 200 of each object, taken as seen straight", each=200
    ),
}
MIXED = {"d": ("c", "b")}
"""As many crops of each."""


@dataclass(frozen=True)
class Sets:
    """All training sets, by name.

    Args:
        data: folder with `linemod/` and `imagenet_samples/`.
        work: where datasets are made.
        crops: in each set, at most.
        given: further sets: their names, and what they are made of, folders of datasets or names
            of sets.
        threads: of the processor.
        real_crops: of each object in sets of real crops; all if not given.
    """

    data: Path
    work: Path
    crops: int
    given: Mapping[str, Sequence[str]]
    threads: int
    real_crops: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of all sets."""
        return ("b", "c", "e", "d", "a", "e_rays", "e_1000", *self.given)

    def says(self, name: str) -> str:
        """What a set is."""
        if name in MADE:
            return MADE[name].says
        if name in LABELLED:
            return LABELLED[name].says
        return " and ".join(MIXED.get(name) or self.given[name])

    def parts(self, name: str) -> tuple[str, ...]:
        """The datasets that a set is of: names of those that are made here, or folders."""
        if name in MADE or name in LABELLED:
            return (name,)
        if name in MIXED:
            return MIXED[name]
        known = {*MADE, *LABELLED, *MIXED}
        return tuple(
            part
            for one in self.given[name]
            for part in (self.parts(one) if one in known else (one,))
        )

    def folder(self, part: str) -> Path:
        """Of a dataset."""
        return self.work / "sets" / part if part in MADE or part in LABELLED else Path(part)

    def is_made(self, name: str) -> bool:
        """Whether all datasets of a set are there, whole."""
        folders = [self.folder(part) for part in self.parts(name)]
        return all((f / LISTING).exists() and not (f / INCOMPLETE).exists() for f in folders)

    def sha256(self, name: str) -> list[str]:
        """Of a set's datasets."""
        listings = [self.folder(part) / LISTING for part in self.parts(name)]
        return [hashlib.sha256(listing.read_bytes()).hexdigest() for listing in listings]

    def adapters(self, name: str) -> set[str]:
        """SHA-256 of the networks that adapted a set's crops."""
        found = set()
        for part in self.parts(name):
            manifest = json.loads((self.folder(part) / "manifest.json").read_text())
            if manifest["adapter"]:
                found.add(manifest["adapter"]["generator.onnx"])
        return found

    def make(self, name: str, models: Sequence[CadModel], show: Callable[[int, int], None]) -> None:
        """Make what is not there of a set's datasets; what was begun is continued.

        Args:
            name: of the set.
            models: `OBJECTS`.
            show: called with (crops done, in all).

        Raises:
            RenderAdaptError: one sentence that says why.
        """
        for part in self.parts(name):
            if part in MADE and not (self.is_made(part) and self._crops_in(part) == self.crops):
                generate(self.run(part), show)
            elif part in LABELLED and not self.is_made(part):
                labelled = LABELLED[part]
                write_labelled(
                    self.folder(part), self.data / "linemod", models, self.threads,
                    along_rays=labelled.along_rays, each=self.real_crops or labelled.each,
                )  # fmt: skip

    def _crops_in(self, part: str) -> int:
        manifest = json.loads((self.folder(part) / "manifest.json").read_text())
        return int(manifest["n"])

    def run(self, part: str) -> RunConfig:
        """How a dataset of renders is made."""
        made = MADE[part]
        return RunConfig(
            OBJECTS, n=self.crops, out=self.folder(part), format=("bop-webdataset",), seed=SEED,
            adapter=made.adapter, models=self.data / "linemod/models", window=WINDOW,
            centre="mean", off_axis=0.0, workers=self.threads,
            randomize=self.randomised() if made.randomised else RANDOMIZATIONS["linemod"],
        )  # fmt: skip

    def randomised(self) -> Randomization:
        """That of randomised.toml, with the photographs of the data."""
        folder = json.dumps(str((self.data / "imagenet_samples").resolve()))
        text = re.sub("(?m)^photographs = .*", f"photographs = {folder}", RANDOMISED.read_text())
        file = self.work / "sets" / RANDOMISED.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return read_randomization(file)

    def read(self, name: str, models: Sequence[CadModel]) -> LabelledCrops:
        """The crops of a set that is made, as many of each of its datasets as of the others.

        Raises:
            DatasetError: a dataset cannot be read.
        """
        parts = self.parts(name)
        each = -(-self.crops // len(parts))
        return joined([read_set(self.folder(part), models, each, self.threads) for part in parts])
