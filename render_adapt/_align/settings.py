"""What an alignment is asked to do, and what it did."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from adapter import TargetCut
from checked_settings import Above, AtLeast, Between, SettingError, check
from render_adapt._config import Units
from render_adapt._train import TrainRun
from renderer import RANDOMIZATIONS, Centre, PlanConfig, Randomization, read_randomization

LEARNT_FROM = replace(
    RANDOMIZATIONS["strong"], texture_swap=0.0, occluders=(0, 1), off_centre=0.03,
    zoom=(0.95, 1.05), depth_sensor="exact",
)  # fmt: skip
"""What the network's renders differ in: as `strong`, but cut as closely as the target's crops are,
and with the objects' own colours, by which they are told apart."""
_Count = Annotated[int, AtLeast(1)]
_Whole = Annotated[int, AtLeast(0)]


@dataclass(frozen=True)
class _Sizes:
    """Sides that the network can halve four times."""

    phrase: str = "a multiple of 16, from 16 to 256"

    def holds(self, value: Any) -> bool:
        return bool(value % 16 == 0 and 16 <= value <= 256)


@dataclass(frozen=True)
class AlignConfig:
    """Which crops to align, with which objects, and how.

    Raises:
        SettingError: a value is out of range.
    """

    objects: tuple[str, ...]
    """Objects that the camera's crops show: names, or NAME=FILE for a mesh of your own."""
    target: Path
    """Unlabelled camera crops: a folder of images (with or without depth) or a BOP dataset."""
    out: Path
    """Folder of the dataset of aligned crops; what was begun continues from OUT.training."""
    models: Path | None = None
    """A BOP models folder, or a .blend file, in place of the built-in models."""
    units: Units | None = None
    """Unit of the mesh files, where it is not millimetres."""
    symmetry: tuple[str, ...] = ()
    """Symmetries of objects whose files do not say them: bowl=z, any turn about its own z axis;
    box=z2, half turns; nut=z6, sixths of a turn (docs/meshes.md)."""
    photographs: Path | None = None
    """A folder of photographs to put behind the renders that are learnt from, which helps much."""
    randomize: str | None = None
    """What differs between these renders, as for a run (docs/randomization.md); strong, but for
    what docs/align.md says, if not given."""
    adapted: Path | None = None
    """A dataset of these objects to learn from beside the renders, half of each batch: one that an
    adapter made of an earlier alignment of the target (docs/best.md)."""
    window: float | None = None
    """Side of the square that a crop shows at the object's distance, millimetres; what the target
    says of itself, else 200."""
    centre: Centre | None = None
    """What of the object is in the middle of the camera's crops: `box`, `mean`, `origin` or
    `visible`; what the target says of itself (docs/cutting.md), else box."""
    off_axis: float | None = None
    """How many degrees the camera's crops lie off its optical axis at most; what the target says of
    itself, else 0."""
    distance: tuple[float, float] = PlanConfig().distance
    """Least and greatest distance from the camera to the object, millimetres."""
    channels: Literal[3, 4] | None = None
    """3 to leave depth aside, 4 to insist on it; what the target has, if not given."""
    depth_scale: Annotated[float, Above(0)] | None = None
    """Millimetres in a step of the target's depth; what its crops.json says, else told from the
    values."""
    size: Annotated[int, _Sizes()] = 64
    """Side of the crops as they are looked at and written, pixels: a multiple of 16."""
    min_confidence: Annotated[float, Between(0, 1)] = 0.5
    """Crops are kept from this probability on that their pose is right."""
    source_crops: _Count = 24_000
    """Renders to learn from; they take 16 kB of memory each at 64 pixels."""
    calibration_crops: Annotated[int, AtLeast(20)] = 600
    """Renders by which confidence is calibrated."""
    steps: _Count = 4000
    """Training steps."""
    batch: Annotated[int, AtLeast(2)] = 64
    """Renders in a step."""
    together: bool = True
    """Whether poses are bettered by what all crops of an object show in common, its surface and the
    ground that it stands on, where there are 20 or more."""
    rounds: _Whole = 0
    """How often to train on with the crops of which it is sure, and align anew: each takes the time
    of another alignment and of `round_steps`."""
    round_steps: _Count = 1000
    """Training steps of each such round."""
    learning_rate: Annotated[float, Above(0)] = 2e-3
    """AdamW's, after 200 steps of warm-up; it falls to 0 along a cosine."""
    max_minutes: Annotated[float, AtLeast(0)] = 0.0
    """Stop training after so many minutes, to go on when called again; 0 is no limit."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the network; auto is bf16 on a GPU and on processors with AMX, where it is
    several times as fast, and fp32 on others."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the network runs."""
    threads: _Whole = 0
    """Processor threads; 0 takes all cores."""
    checkpoint_every: _Count = 500
    """Steps between checkpoints."""
    seed: _Whole = 0
    """The same seed gives the same bytes on the same machine."""

    def __post_init__(self) -> None:
        """Check what can be checked without reading a mesh."""
        check(self)
        object.__setattr__(self, "objects", self.as_training.objects)
        if not self.objects:
            raise SettingError("`objects` is empty: name at least one, as in `objects` ape,cat")
        _ = self.plan(None), self.randomization  # which check what they are made of

    @property
    def all_steps(self) -> int:
        """Training steps, those of the rounds among them."""
        return self.steps + self.rounds * self.round_steps

    @property
    def working(self) -> Path:
        """Folder of the training: its checkpoint, and the picture of the target."""
        return self.as_training.working

    def cut(self, stated: TargetCut | None) -> TargetCut:
        """How the target's crops are taken to be cut, where they say `stated` of themselves."""
        return self.as_training.cut(stated)

    def plan(self, stated: TargetCut | None) -> PlanConfig:
        """How the renders are planned: as the target's crops are cut."""
        return replace(self.as_training.plan(stated), size=self.size)

    @property
    def randomization(self) -> Randomization:
        """What differs between the renders."""
        chosen = LEARNT_FROM if self.randomize is None else read_randomization(self.randomize)
        if self.photographs is None:
            return chosen
        background = tuple(dict.fromkeys((*chosen.background, "photographs")))
        without_patterns = tuple(kind for kind in background if kind != "procedural")
        return replace(chosen, background=without_patterns, photographs=self.photographs)

    @property
    def as_training(self) -> TrainRun:
        """The same target as `render-adapt train` takes it."""
        return TrainRun(
            self.objects, self.target, self.out, models=self.models, units=self.units,
            symmetry=self.symmetry, window=self.window, centre=self.centre,
            off_axis=self.off_axis, distance=self.distance, channels=self.channels,
            depth_scale=self.depth_scale,
        )  # fmt: skip


@dataclass(frozen=True)
class AlignSummary:
    """What an alignment did."""

    folder: Path
    """Of the dataset."""
    trained: int
    """Training steps done; as long as they are fewer than `steps`, nothing is aligned yet."""
    steps: int
    """Training steps asked for."""
    crops: int
    """Of the target."""
    kept: int
    """Of these, in the dataset."""
    by_object: dict[str, int]
    """Kept crops by object."""
    right: float
    """The share of renders with a confidence of `min_confidence` or more whose pose is right, by
    renders that the calibration did not see; NaN where there is none."""
    table: Path
    """All crops with their confidence and pose."""
    contact_sheet: Path

    @property
    def finished(self) -> bool:
        """Whether the crops are aligned."""
        return self.trained >= self.steps
