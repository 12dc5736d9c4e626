"""What a run is: all that decides its bytes, and how to give its command again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapter import AdapterInfo, adapter_folder
from adapter._runtime.description import DESCRIPTION
from cad_models import CadModel
from checked_settings import RenderAdaptError, SettingError
from render_adapt._config import WINDOW, RunConfig
from render_adapt._exceptions import DatasetError
from render_adapt._fidelity.calibration import write_calibration
from render_adapt._files import hash_file
from render_adapt._formats.pixel_centre import INSIDE, KEY
from render_adapt._planner import published_linemod_camera
from render_adapt._runs.layout import FIRST_SCENE, SPLIT, ShardLayout
from render_adapt._runs.manifest import MANIFEST, config_hash
from render_adapt._runs.studio import Studio
from render_adapt._stores.address import StoreAddress
from render_adapt._verdict.words import headline
from renderer import (
    ENGINES,
    PicturePoses,
    Randomization,
)

_LIBRARIES = ("arro3-io", "numba", "numpy", "onnxruntime")
"""Those, with OpenCV, that compute what is written: other versions of them may round otherwise."""
_NOT_KEPT = ("out", "workers", "executor", "address")
_IF_GIVEN = ("distractors", "lit_by")
"""Settings that are kept only where they are not as they are by default."""
_FOLDERS = ("environments", "photographs", "textures")
"""Of a randomization."""
_LONG = ("adapter", "distractors", "models", "objects", "randomize")
_CAME_LATER: dict[str, tuple[Any, ...]] = {
    "centre": (None, "box"),
    "off_axis": (None, 0.0),
    "cut_from": (None,),
    "picture": (None,),
    "pixel_centre": (INSIDE,),
    "device": ("auto", "cpu"),
    "precision": ("auto", "fp32"),
    "repeat_objects": (True,),
    "light_from": ("camera",),
    "rgb": ("png",),
    "split": (None, ()),
    "first_scene": (0,),
    "symmetry": ((),),
    "lit_by": ("plan",),
    "distractors": (0,),
}
"""Settings, each with what was the case before there was a choice."""
_BEFORE = {"pixel_centre": INSIDE, "repeat_objects": True}
"""Of these, those whose default is another now: settings always have them, and where they do not,
they are of a run from before."""
_LONGEST = 300
"""Characters of a setting that is not in `_LONG`."""


def describe_run(studio: Studio) -> dict[str, Any]:
    """What decides a run's bytes, and the conventions that its readers need, as JSON has it."""
    config = studio.config
    info = studio.adapter.info if studio.adapter else None
    decisive = {
        "adapter": info.sha256 if info else None,
        "fidelity": _describe_fidelity(studio),
        "format": config.format,
        "n": config.n,
        "objects": {model.name: _describe_object(model) for model in studio.models},
        "order": [model.name for model in studio.models],
        "plan": _without_defaults(studio.planner.described()),
        "randomization": _describe_randomization(studio),
        "renderer": config.renderer,
        "samples": config.samples if "samples" in ENGINES[config.renderer].options else None,
        "seed": config.seed,
        "units": config.units,
        "version": version("render-adapt"),
        **_without_defaults(
            {
                "device": config.device.partition(":")[0],
                "lit_by": config.lit_by,
                "pixel_centre": config.pixel_centre,
                "precision": config.precision,
                "rgb": config.rgb,
                SPLIT: config.splits,
                FIRST_SCENE: config.first_scene,
            }
        ),
    }
    described = {
        **decisive,
        "config_sha256": config_hash(decisive),
        "conventions": {
            "axes": "OpenCV: x right, y down, z forward; right-handed",
            "depth": "z in millimetres = PNG value * depth_scale; 0 = no measurement",
            KEY: config.pixel_centre,
            "pose": "model to camera, millimetres",
            "quaternion": "w, x, y, z; unit; w >= 0",
        },
        "settings": _describe_settings(studio),
        "shard_size": config.shard_size,
        "shards": planned_layout(config).count,
        **_verdict(info),
        "versions": _versions(studio),
    }
    as_json: dict[str, Any] = json.loads(json.dumps(described, default=str))
    return as_json


def _verdict(info: AdapterInfo | None) -> dict[str, str]:
    """What an adapter that was measured is worth, for whoever has the dataset alone."""
    verdict = None if info is None else headline(info)
    return {} if verdict is None else {"verdict": verdict}


def planned_layout(config: RunConfig) -> ShardLayout:
    """Which crops will be in which shard, of a run that did not grow.

    Raises:
        SettingError: a split would have none.
    """
    splits = {SPLIT: config.splits} if config.splits else {}
    layout = ShardLayout.of_run(
        {
            "n": config.n, "shard_size": config.shard_size, FIRST_SCENE: config.first_scene,
            **splits,
        }
    )  # fmt: skip
    needed = layout.least_crops
    if config.n < needed:
        raise SettingError(
            f"`split` leaves {layout.splits[-1][0]} none of {config.n} crops, since splits are "
            f"taken of every {layout.size} in their order: give `n` {needed} or more"
        )
    return layout


def _describe_fidelity(studio: Studio) -> dict[str, Any] | None:
    if studio.judge is None:
        return None
    calibration = write_calibration(studio.judge.calibration)
    return {
        "calibration_sha256": hashlib.sha256(calibration.encode()).hexdigest(),
        "judge_sha256": studio.judge.calibration.judge_sha256,
        "min_fidelity": studio.config.min_fidelity,
        "redraws": studio.config.redraws,
    }


def config_of(
    manifest: Mapping[str, Any], folder: Path | StoreAddress, **changes: Any
) -> RunConfig:
    """The settings that a run was given, for its command to be given again.

    Of files and folders it knows the names alone: see `where_files_are`.

    Args:
        manifest: the run's.
        folder: the dataset's.
        changes: settings in place of the run's.

    Raises:
        DatasetError: the manifest has no settings, or they are damaged.
        SettingError: one of them cannot be used here.
    """
    try:
        settings = {name: _untangled(value) for name, value in manifest["settings"].items()}
        _refuse_endless(settings)
        if isinstance(settings["models"], str):
            settings["models"] = Path(settings["models"])
        randomization = {**settings["randomize"]}
        for name in _FOLDERS:
            if isinstance(randomization[name], str):
                randomization[name] = Path(randomization[name])
        settings["randomize"] = Randomization(**randomization)
        if "pixel_centre" not in settings:
            settings = {**settings, "camera": _camera_before(settings)}
        settings = {**_BEFORE, **settings}
        return RunConfig(**{**settings, "out": folder, **changes})
    except RenderAdaptError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"the settings in {folder / MANIFEST} are damaged ({error}): give the run's own "
            "command, or take the file from a copy"
        ) from None


def where_files_are(config: RunConfig, folder: Path | StoreAddress) -> RunConfig:
    """A run's settings with its files found by their names: here, or beside the dataset's folder.

    Whether they are those that the run was made of is for `refuse_other_run` to say.

    Args:
        config: of `config_of`.
        folder: the dataset's.

    Raises:
        SettingError: the adapter is in neither place.
    """

    beside = folder.absolute().parent if isinstance(folder, Path) else Path.cwd()

    def found(name: str | Path, holds: str = "") -> Path:
        beside_dataset = beside / name
        here_is_none = not (Path(name) / holds).exists()
        return beside_dataset if here_is_none and (beside_dataset / holds).exists() else Path(name)

    changes: dict[str, Any] = {
        name: found(place) for name in _FOLDERS if (place := getattr(config.randomization, name))
    }

    def found_meshes(objects: Sequence[str]) -> tuple[str, ...]:
        entries = (entry.partition("=") for entry in objects)
        return tuple(f"{name}={found(file)}" if equals else name for name, equals, file in entries)

    adapter = config.adapter
    if adapter not in ("none", "shipped"):
        adapter = str(found(adapter, DESCRIPTION))
        if not (adapter_folder(adapter) / DESCRIPTION).exists():
            raise SettingError(
                f"the run's adapter, {adapter}, is neither here nor beside {folder}: say where it "
                "is with `adapter`"
            )
    return replace(
        config,
        adapter=adapter,
        objects=found_meshes(config.objects),
        distractors=found_meshes(config.distractors),
        models=config.models and found(config.models),
        randomize=replace(config.randomization, **changes),
    )


def _refuse_endless(settings: Mapping[str, Any]) -> None:
    """Refuse what no settings have, and what a message about a setting could not quote.

    Raises:
        ValueError: one of them is too long.
    """
    for name, value in settings.items():
        if name not in _LONG and len(str(value)) > _LONGEST:
            raise ValueError(f"{name[:40]} is too long")


def _describe_settings(studio: Studio) -> dict[str, Any]:
    """As given, but for where it is written and by how many, and without the folders in which
    files lie: they say nothing of the crops, but something of their maker."""
    config = studio.config
    settings = {name: value for name, value in vars(config).items() if name not in _NOT_KEPT}
    for name in _IF_GIVEN:
        if settings[name] == getattr(RunConfig, name):
            del settings[name]
    for name in ("objects", "distractors"):
        if name in settings:
            settings[name] = tuple(map(_without_folder, settings[name]))
    settings["models"] = config.models and _last_name(config.models)
    if config.adapter not in ("none", "shipped"):
        settings["adapter"] = _last_name(config.adapter)
    # Which of a machine's GPUs it is says nothing.
    settings["device"] = config.device.partition(":")[0]
    if settings["device"] == "cpu":
        del settings["device"]
    if settings["window"] is None:
        settings["window"] = WINDOW
    if studio.adapter is None or studio.adapter.info.cut is None:
        # Another adapter would have its own cut in place of what is left out.
        settings = _without_defaults(settings)
    randomize = _without_defaults(asdict(studio.randomization_as_given))
    randomize |= {name: randomize[name] and _last_name(randomize[name]) for name in _FOLDERS}
    earlier_settings = {name: getattr(config, name) for name in _BEFORE}
    return settings | earlier_settings | {"randomize": randomize}


def _without_folder(entry: str) -> str:
    """`part=/home/me/part.stl` as `part=part.stl`."""
    name, equals, file = entry.partition("=")
    return f"{name}={_last_name(file.strip())}" if equals else entry


def _last_name(path: Path | str) -> str:
    return os.path.basename(os.path.abspath(path)) or str(path)


def _camera_before(settings: Mapping[str, Any]) -> Any:
    """The camera of a run from before K could be counted from the first pixel's centre."""
    picture = settings.get("frames") or settings.get("cut_from")
    if settings.get("camera") is not None or not isinstance(picture, str):
        return settings.get("camera")
    width, height = map(int, picture.split("x"))
    return published_linemod_camera(width, height)


def _without_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Without those that came later, where they have what was the case before they came, so that
    older runs can be continued and verified."""
    return {
        name: value
        for name, value in settings.items()
        if name not in _CAME_LATER or value not in _CAME_LATER[name]
    }


def _untangled(value: Any) -> Any:
    """Tuples, where JSON has lists."""
    if isinstance(value, list):
        return tuple(map(_untangled, value))
    if isinstance(value, dict):
        return {name: _untangled(entry) for name, entry in value.items()}
    return value


def _versions(studio: Studio) -> dict[str, str | None]:
    config = studio.config
    versions: dict[str, str | None] = {"opencv": cv2.__version__}
    further: tuple[str, ...] = ()
    if studio.adapter is not None and config.device not in ("auto", "cpu"):
        versions["gpu"] = studio.adapter.runs_on
        further = ("torch",)
    elif config.precision == "bf16":
        further = ("openvino",)
    for name in (*_LIBRARIES, *further):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions


def _describe_randomization(studio: Studio) -> dict[str, Any]:
    """The settings; in place of folders, whose names may change, what was read from them."""
    randomization = studio.config.randomization
    return _without_defaults(asdict(randomization)) | {
        "environments": _hash_files(randomization.environments),
        "photographs": _hash_pictures(studio.photographs, studio.photographs.poses),
        "textures": _hash_pictures(studio.textures),
    }


def _hash_files(folder: Path | None) -> str | None:
    """Of the names and contents of a folder's files, in order of name."""
    if folder is None:
        return None
    digest = hashlib.sha256()
    try:
        for path in sorted(path for path in folder.iterdir() if path.is_file()):
            digest.update(f"{path.name}\0{hash_file(path, folder)}\0".encode())
    except OSError as error:
        raise SettingError(
            f"environments: {error.filename} cannot be read: {error.strerror}"
        ) from None
    return digest.hexdigest()


def _hash_pictures(
    pictures: Sequence[NDArray[np.uint8]], poses: PicturePoses | None = None
) -> str | None:
    if not len(pictures):
        return None
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(f"{picture.shape}\0".encode() + picture.tobytes())
    if poses is not None:
        digest.update("\0".join(poses.object).encode())
        for array in (poses.rotation, poses.translation, poses.camera_matrix):
            digest.update(array.tobytes())
    return digest.hexdigest()


def _describe_object(model: CadModel) -> dict[str, Any]:
    return {
        "obj_id": model.object_id,
        "origin": model.origin,
        "sha256": model.sha256,
        # Not in the mesh file's hash, but they decide which pose is written.
        "symmetries_discrete": model.symmetries.discrete.tolist(),
        "symmetries_continuous": [asdict(symmetry) for symmetry in model.symmetries.continuous],
    }
