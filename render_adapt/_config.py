"""What a run is asked to do, checked once, here."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from adapter import AdapterInfo, adapter_folder
from checked_settings import (
    AtLeast,
    Between,
    Matching,
    OneOf,
    SettingError,
    WrongValue,
    alternatives,
    check,
    known_as,
)
from render_adapt._coupling import before_backgrounds, left_to_adapter
from render_adapt._files import MOST_CROPS
from render_adapt._formats.image import RgbKind
from render_adapt._formats.pixel_centre import CENTRES, INSIDE
from render_adapt._formats.registry import formats
from render_adapt._formats.shard import SPLITS
from render_adapt._own_packages import refuse_own_name
from render_adapt._planner import CropPlanner, FramePlanner, Planner
from render_adapt._stores.address import StoreAddress, place_of
from renderer import (
    ENGINES,
    CameraSettings,
    Centre,
    EngineOptions,
    FrameConfig,
    PlanConfig,
    Randomization,
    linemod_camera,
    read_randomization,
)

Size = Literal[64, 128, 256]
Units = Literal["m", "cm", "mm", "in"]
LitBy = Literal["plan", "scene"]

SHARD_SIZE = 250
"""Crops in a shard: about 2 s of work on one core, and one BOP scene of 1,000 small files."""

LEAST_SHARE = 0.01
"""Of a split."""
MOST_FIRST_SCENE = 900_000
"""BOP's numbers of scenes have six digits."""

MOST_REDRAWS = 100
MOST_SAMPLES = 4096

LINEMOD_OBJECTS = (
    "ape", "benchvise", "cam", "can", "cat", "driller", "duck", "holepuncher", "iron", "lamp",
    "phone",
)  # fmt: skip
"""Those of the PixelDA paper."""

WINDOW = 200.0
"""Millimetres: LineMod's, where neither a flag nor an adapter has another."""

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "linemod": {
        "centre": "mean",
        "off_axis": 10.0,
        "window": WINDOW,
        "distance": PlanConfig().distance,
        "viewpoints": "hemisphere",
        "in_plane": 45.0,
    },
    "linemod-paper": {
        "objects": LINEMOD_OBJECTS,
        "adapter": "none",
        "centre": "mean",
        "off_axis": 0.0,
        "window": WINDOW,
        "distance": (400.0, 400.0),
        "viewpoints": "hemisphere",
        "subdivisions": 4,
        "in_plane": 45.0,
        "in_plane_steps": 8,
    },
}
"""Settings of `RunConfig` to start from. `linemod` cuts crops as LINEMOD's camera crops are cut,
and as far off its axis; `linemod-paper` is Wohlhart & Lepetit's recipe (CVPR 2015): 1241 viewpoints
at 400 mm, a window of 200 mm, each in 8 turns, as many as the 109,208 crops of 11 objects that
PixelDA's source set has."""

_ONLY_OF = (
    ("crop", "size"), ("crop", "window"), ("crop", "centre"), ("crop", "off_axis"),
    ("crop", "cut_from"), ("crop", "viewpoints"), ("crop", "in_plane_steps"), ("crop", "rectified"),
    ("crop", "distractors"), ("frame", "objects_per_frame"),
)  # fmt: skip
"""Settings that mean something to one planner alone, behind what it plans."""
_MISFIT = {
    "crop": "is for crops: leave it out, or leave out `frames`",
    "frame": "is for whole frames: give `frames` too",
}
_ENGINE = OneOf(lambda: ENGINES)
_PIXEL_CENTRE = OneOf(lambda: CENTRES)
_DEVICE = Matching(
    re.compile(r"auto|cpu|cuda(:(0|[1-9][0-9]{0,2}))?"), "auto, cpu, cuda, or one GPU as in cuda:1"
)
_SIDES = Matching(re.compile(r"[0-9]{1,6}x[0-9]{1,6}"), "width x height, as in 640x480")


@dataclass(frozen=True)
class RunConfig:
    """A run: what to render, how to adapt it, and where to write it.

    Raises:
        SettingError: a value is out of range, or two do not go together.
    """

    objects: tuple[str, ...]
    """Objects to render: names, or NAME=FILE for a mesh of your own."""
    n: Annotated[int, AtLeast(0)] = 0
    """Number of crops, or frames; may be left out with --in-plane-steps, which makes all its poses
    of each object once."""
    out: Path | StoreAddress = Path("dataset")
    """Folder of the dataset, or its address in an object store as in s3://bucket/run
    (docs/scale_out.md); a run that was stopped continues there."""
    format: tuple[str, ...] = ("bop",)
    """What to write: `bop`, a folder of PNG and JSON files for each scene; `bop-webdataset`, a tar
    file in its place; or both, as in bop,bop-webdataset. Beside them, or alone, `coco`, `yolo`,
    `yolo-pose`, `bop-targets`, `huggingface`, `dope`, `linemod-preprocessed`, `pvnet` and
    `xyz-crop` (docs/datasets.md)."""
    rgb: RgbKind = "png"
    """What colour pictures are written as: png, or jpg (quality 95), which many readers of BOP's
    datasets look for (docs/datasets.md). Depth and masks are PNG."""
    split: str | None = None
    """Splits with their shares, as in train:0.9,val:0.1 (train, val and test): of every 250 crops
    the first are of the first split, and so on (docs/datasets.md)."""
    first_scene: Annotated[int, Between(0, MOST_FIRST_SCENE)] = 0
    """The number of the first BOP scene, so that datasets can be put side by side."""
    seed: Annotated[int, AtLeast(0)] = 0
    """The same seed gives the same bytes, whatever the number of workers."""
    size: Size = 64
    """Side of a crop, pixels."""
    adapter: str = "shipped"
    """`shipped`, a trained adapter's folder, a name of `render-adapt adapters list`, or `none` for
    plain renders."""
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """What adapter and judge compute in: fp32, whose bytes are the same on all processors; bf16,
    several times as fast where the processor has AMX, and on GPUs (docs/adapters.md); or auto, bf16
    there and fp32 elsewhere."""
    device: Annotated[str, _DEVICE] = "cpu"
    """What adapter and judge run on: cpu; cuda, a GPU, and of several another for each worker;
    cuda:1, that one; or auto, cuda where there is a GPU that works, and cpu elsewhere
    (docs/gpu.md). Pictures are the same but for rounding, and bytes are not."""
    min_fidelity: Annotated[float, Between(0, 1)] = 0.0
    """The least label fidelity of a crop, 0 to 1 (docs/fidelity.md): one below it is adapted anew,
    and left out if it stays below. About so large a share of an adapter's crops is; 0 keeps all."""
    redraws: Annotated[int, Between(0, MOST_REDRAWS)] = 3
    """How often a crop is adapted anew at most."""
    models: Path | None = None
    """In place of the built-in models: a BOP models folder (obj_000001.ply, models_info.json), or a
    .blend file whose objects are named as there, and with --renderer blender look as there."""
    units: Units | None = None
    """Unit of the mesh files, where it is not millimetres."""
    symmetry: tuple[str, ...] = ()
    """Symmetries of objects whose files do not say them: bowl=z, any turn about its own z axis;
    box=z2, half turns; nut=z6, sixths of a turn (docs/meshes.md)."""
    distractors: tuple[str, ...] = ()
    """Further objects, named as --objects, that crops are never of: they hide the others and stand
    beside them, up to two each way where --randomize says nothing, and are labelled too."""
    renderer: Annotated[str, _ENGINE] = "raster"
    """Rendering engine."""
    samples: Annotated[int, Between(1, MOST_SAMPLES)] = EngineOptions.samples
    """Rays per pixel for each light; for --renderer blender."""
    lit_by: LitBy = "plan"
    """Where light comes from: `plan`, as --randomize says; or `scene`, the lights and the world of
    the .blend file, around each object as it stands there; for --renderer blender."""
    randomize: str | Path | Randomization = "linemod"
    """What differs between crops beside the pose: none, linemod (light alone, on black, for the
    adapter to go on from), strong (everything, for training without an adapter), or a TOML file
    (docs/randomization.md)."""
    workers: Annotated[int, AtLeast(1)] = field(default_factory=lambda: available_cores())
    """Processes that make shards side by side."""
    executor: Literal["processes", "ray"] = "processes"
    """Who makes the shards: `processes` of this machine, or `ray`, an actor for each processor of a
    cluster (docs/scale_out.md)."""
    address: str | None = None
    """Of the cluster for --executor ray: auto, where this machine is a node of it, or host:port; if
    not given, one is begun on this machine."""
    window: float | None = None
    """Side of the square that a crop shows at the object's distance, millimetres; as the adapter's
    own crops, else 200."""
    centre: Centre | None = None
    """What is in the middle of a crop: `box`, the centre of the object's bounding box; `mean`, the
    mean of its mesh's vertices; `origin`, that of its coordinates; `visible`, the 2-D box of what
    is seen of it, as detectors cut. As the adapter's own crops were cut, else box. For jitter
    around it see off_centre in docs/randomization.md."""
    off_axis: float | None = None
    """How many degrees crops lie off the camera's optical axis at most; poses are what that camera
    sees. As the adapter's own crops, else 0; with --cut-from anywhere in the picture."""
    cut_from: Annotated[str, _SIDES] | None = None
    """Crops are cut from pictures of this many pixels, as in 640x480, taken by --camera: windows
    lie wholly inside, on whole pixels."""
    distance: tuple[float, float] = PlanConfig().distance
    """Least and greatest distance from the camera to the object, millimetres."""

    viewpoints: Literal["hemisphere", "so3"] = "hemisphere"
    """From where: `hemisphere`, above the object as on a table; `so3`, any orientation."""
    subdivisions: int = PlanConfig().subdivisions
    """How fine the hemisphere's viewpoints are: 3 gives 301 of them, 4 gives 1241."""
    in_plane: float = PlanConfig().in_plane
    """The image is turned by up to this many degrees to either side (hemisphere only)."""
    in_plane_steps: int = 0
    """Shows each viewpoint in this many evenly spaced turns, all poses one after the other; 0 draws
    viewpoint and turn anew for each crop."""
    rectified: bool = False
    """The image is turned so that the object's z axis points up in it."""
    frames: Annotated[str, _SIDES] | None = None
    """Whole frames of this many pixels in place of crops, as in 640x480: several objects on a
    board, seen by one camera. An adapter is shown each in a window of its own."""
    objects_per_frame: int = FrameConfig().objects
    """How many objects a frame shows, fewer where they find no room."""
    repeat_objects: bool = False
    """A crop or frame may show several of one object, whether or not others are left. If not, it
    does where --objects names too few; many readers expect one of each."""
    camera: tuple[float, float, float, float] | None = None
    """fx, fy, cx, cy in pixels of the camera of --frames or --cut-from; LINEMOD's, scaled, if not
    given."""
    pixel_centre: Annotated[float, _PIXEL_CENTRE] = 0.0
    """Where the first pixel's centre is in the coordinates of K, that of --camera and those that
    are written: 0 as in OpenCV's calibrations and nearly all readers, or 0.5 as in renderers."""

    def __post_init__(self) -> None:
        """Split comma-separated names, and check what can be checked without reading a mesh."""
        check(self)
        object.__setattr__(self, "objects", split_names(self.objects))
        object.__setattr__(self, "distractors", split_names(self.distractors))
        object.__setattr__(self, "out", place_of(self.out))
        refuse_own_name("out", self.out)
        object.__setattr__(self, "format", chosen_formats(self.format))
        if not isinstance(self.randomize, Randomization):
            # Read once, here: workers that start later must not see another file.
            object.__setattr__(self, "randomize", read_randomization(self.randomize))
        if not self.objects:
            raise SettingError("`objects` is empty: name at least one, as in `objects` ape,cat")
        crops, planner = self._crops(), self.planner  # which check what they are made of
        if self.n == 0:
            object.__setattr__(self, "n", crops.poses * len(self.objects))
        if self.n == 0:
            raise SettingError("`n` is missing: give the number of crops, as in `n` 1000")
        if self.n > MOST_CROPS:
            raise SettingError(
                f"`n` is {self.n}: a dataset has at most {MOST_CROPS} crops, a million scenes of "
                "them; make several, each with a `seed` of its own"
            )
        object.__setattr__(self, "split", _split_text(self.splits) if self.split else None)
        self._refuse_misfits(planner)

    def _refuse_misfits(self, planner: Planner) -> None:
        if self.address is not None and self.executor != "ray":
            raise SettingError("`address` is a cluster's: give `executor` ray too, or leave it out")
        if self.min_fidelity and self.adapter == "none":
            raise SettingError(
                "`min_fidelity` judges what an adapter made, and there is none: leave it out, or "
                "leave out `adapter` none"
            )
        if self.precision == "bf16" and self.adapter == "none":
            raise SettingError(
                "`precision` is what an adapter computes in, and there is none: leave it out, or "
                "leave out `adapter` none"
            )
        if self.device.startswith("cuda"):
            self._refuse_idle_gpu()
        if self.lit_by == "scene":
            self._refuse_without_scene()
        for name in set(self.distractors) & set(self.objects):
            raise SettingError(f"`distractors` {name} is among `objects`: name it in one of them")
        for name in self.format:
            if formats()[name].reads_shards and isinstance(self.out, StoreAddress):
                raise SettingError(
                    f"`format` {name} is made of scenes that have been written, and an object "
                    "store takes them away: give `out` a folder, and copy that there"
                )
            if formats()[name].of_one_camera and planner.what != "frame":
                raise SettingError(
                    f"`format` {name} is of whole frames by one camera, and crops have a K each: "
                    "give `frames` too, as in `frames` 640x480"
                )
        defaults = {field.name: field.default for field in fields(self)}
        if self.camera is not None and planner.what == "crop" and self.cut_from is None:
            raise SettingError("`camera` is for `frames` or `cut_from`: give one of them too")
        for pictures, name in _ONLY_OF:
            # Manifests have the window in numbers, those of frames too.
            left_out = defaults[name], WINDOW if name == "window" else None
            if pictures != planner.what and getattr(self, name) not in left_out:
                raise SettingError(f"`{name}` {_MISFIT[pictures]}")

    def _refuse_idle_gpu(self) -> None:
        if self.adapter == "none":
            raise SettingError(
                "`device` is what an adapter runs on, and there is none: leave it out, or leave "
                "out `adapter` none"
            )
        if self.executor == "ray":
            raise SettingError(
                f"`device` is {self.device}, and actors of a cluster have processors alone: leave "
                "it out, or leave out `executor` ray"
            )

    def _refuse_without_scene(self) -> None:
        has_scene = self.models is not None and self.models.suffix.lower() == ".blend"
        if not has_scene or "blend" not in ENGINES[self.renderer].options:
            raise SettingError(
                "`lit_by` scene is the light of a .blend file: give one as `models`, and "
                "`renderer` blender"
            )
        if self.randomization.environments is not None:
            raise SettingError(
                "`lit_by` is scene, and `environments` would light it too: leave one of them out"
            )

    @property
    def randomization(self) -> Randomization:
        """What differs between crops beside the pose."""
        assert isinstance(self.randomize, Randomization)
        return self.randomize

    @property
    def planner(self) -> Planner:
        """What plans this run's pictures; whether they are crops or frames is decided here."""
        if self.frames is None:
            return CropPlanner(self._crops())
        width, height = _sides(self.frames)
        with known_as(
            self, width="frames", height="frames", camera="camera", objects="objects_per_frame"
        ):
            return FramePlanner(
                FrameConfig(
                    width=width, height=height, camera=self._camera_from_corner(),
                    objects=self.objects_per_frame, subdivisions=self.subdivisions,
                    in_plane=self.in_plane, distance=self.distance,
                    repeat_objects=self.repeat_objects,
                )
            )  # fmt: skip

    def _crops(self) -> PlanConfig:
        """How crops are planned."""
        picture, camera = None, None
        if self.cut_from is not None:
            picture = _sides(self.cut_from)
            camera = linemod_camera(*picture) if self.camera is None else self._camera_from_corner()
        with known_as(self, picture="cut_from", camera="camera"):
            return PlanConfig(
                size=self.size, window=WINDOW if self.window is None else self.window,
                centre="box" if self.centre is None else self.centre, off_axis=self.off_axis,
                picture=picture, camera=camera,
                viewpoints=self.viewpoints, subdivisions=self.subdivisions,
                in_plane=self.in_plane, in_plane_steps=self.in_plane_steps,
                rectified=self.rectified, distance=self.distance,
                distractors=len(self.distractors),
                repeat_objects=self.repeat_objects,
            )  # fmt: skip

    def fitted_to(self, adapter: AdapterInfo | None) -> RunConfig:
        """The settings with those that were left to the adapter as its own crops have them.

        What is behind the objects of frames is left as it is rendered; where that is nothing, and
        there is an adapter, they stand on the board.
        """
        changes: dict[str, Any] = {}
        randomization = self.randomization
        if adapter is not None:
            randomization = left_to_adapter(randomization, adapter_folder(self.adapter))
        if self.distractors and not randomization.occluders[1] + randomization.neighbours[1]:
            others = len(self.shown_objects) - 1
            before, beside = min(2, (others + 1) // 2), min(2, others // 2)
            randomization = replace(randomization, occluders=(0, before), neighbours=(0, beside))
        changes["randomize"] = randomization
        if self.planner.what == "frame":
            if adapter is not None and randomization.background == ("black",):
                changes["randomize"] = replace(randomization, background=("board",))
            return replace(self, **changes)
        cut = None if adapter is None else adapter.cut
        if self.window is None:
            changes["window"] = WINDOW if adapter is None else adapter.window_mm
        if self.centre is None:
            changes["centre"] = "box" if cut is None else cut.centre
        if self.off_axis is None and self.cut_from is None:
            changes["off_axis"] = 0.0 if cut is None else cut.off_axis_degrees
        if adapter is not None:
            changes["randomize"] = before_backgrounds(
                randomization, adapter, adapter_folder(self.adapter)
            )
        return replace(self, **changes)

    def _camera_from_corner(self) -> CameraSettings | None:
        """`camera` as plans count pixels."""
        if self.camera is None:
            return None
        fx, fy, cx, cy = self.camera
        return fx, fy, cx + INSIDE - self.pixel_centre, cy + INSIDE - self.pixel_centre

    @property
    def shown_objects(self) -> tuple[str, ...]:
        """All that crops may show: objects, and then distractors."""
        return self.objects + self.distractors

    @property
    def alone(self) -> bool:
        """Whether one process makes all shards, and may have all cores for it."""
        return self.workers == 1 and self.executor == "processes"

    @property
    def shard_size(self) -> int:
        """Crops in a shard, but for the last."""
        return SHARD_SIZE

    @property
    def splits(self) -> tuple[tuple[str, float], ...]:
        """Names and shares of `split`, in the order of train, val and test; none without it."""
        return () if self.split is None else _read_splits(self.split)


def plan_as_learnt(adapter: AdapterInfo, **changes: Any) -> PlanConfig:
    """How crops are planned that are cut as those which an adapter learnt from, but for changes.

    Raises:
        SettingError: a change is out of range.
    """
    return RunConfig(("any",), n=1, **changes).fitted_to(adapter)._crops()


def split_names(objects: tuple[str, ...]) -> tuple[str, ...]:
    """`("ape,cat", "duck")` as `("ape", "cat", "duck")`."""
    names = (name.strip() for entry in objects for name in entry.split(","))
    return tuple(name for name in names if name)


def _sides(text: str) -> tuple[int, int]:
    """Width and height in pixels of `640x480`."""
    width, height = map(int, text.split("x"))
    return width, height


def chosen_formats(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The formats that are asked for, each once and in the order of `formats()`."""
    names, all_formats = split_names(texts), formats()
    if not names or not set(names) <= all_formats.keys():
        rule = f"{alternatives(all_formats)}, or several with commas between them"
        unknown = [name for name in names if name not in all_formats]
        meant = difflib.get_close_matches(unknown[0], all_formats, 1) if unknown else []
        advice = f"; did you mean {meant[0]}?" if meant else ""
        raise WrongValue("format", ",".join(names), f"{rule}{advice}")
    for name in names:
        needed = all_formats[name].needs
        if needed is not None and needed not in names:
            raise SettingError(
                f"`format` {name} is made of {needed}'s files: give `format` {needed},{name}"
            )
    return tuple(name for name in all_formats if name in names)


def _read_splits(text: str) -> tuple[tuple[str, float], ...]:
    """Names and shares of `train:0.9,val:0.1`, in BOP's order.

    Raises:
        SettingError: it is not of that form.
    """
    parts = [part.partition(":") for part in text.replace(" ", "").split(",")]
    try:
        shares = {name: float(share) for name, _, share in parts}
    except ValueError:
        shares = {}
    named = len(shares) == len(parts) > 1 and "train" in shares and shares.keys() <= set(SPLITS)
    values = list(shares.values())
    if not (named and min(values) >= LEAST_SHARE and abs(sum(values) - 1) < 1e-9):
        raise WrongValue(
            "split", text,
            "train and val, or test, each with a share of 0.01 or more that make 1 together, as in "
            "train:0.9,val:0.1",
        )  # fmt: skip
    return tuple((name, shares[name]) for name in SPLITS if name in shares)


def _split_text(splits: tuple[tuple[str, float], ...]) -> str:
    return ",".join(f"{name}:{share!r}" for name, share in splits)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
