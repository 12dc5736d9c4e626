"""A finished dataset that is to be merged, looked at without trust."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cad_models import CadModel, load_models
from render_adapt._exceptions import DatasetError
from render_adapt._files import MOST_TEXT, hash_file, read_listing
from render_adapt._formats.pixel_centre import read_pixel_centre
from render_adapt._formats.registry import formats_of
from render_adapt._formats.written import MERGED, read_written, runs_of
from render_adapt._planner import planner_of
from render_adapt._runs.layout import DatasetLayout
from render_adapt._runs.manifest import LISTING, MANIFEST, listed_hashes, read_manifest
from render_adapt._runs.run_folder import INCOMPLETE, RunFolder
from render_adapt._runs.shard_entry import ShardEntry, listing_of
from safe_files import parse_json, read_file

CAMERA = "camera.json"
MODELS_INFO = "models/models_info.json"


@dataclass(frozen=True)
class Source:
    """A finished dataset."""

    folder: Path
    parts: list[dict[str, Any]]
    """The datasets that it is of, as `merged` of a manifest has them: itself, or those that it was
    merged of."""
    layout: DatasetLayout
    entries: Mapping[int, ShardEntry]
    """Of all shards, by their numbers."""
    formats: list[str]
    names: list[str]
    """Of its objects, in their order."""
    objects: Mapping[str, Mapping[str, Any]]
    """What its manifest says of them."""
    pictures: Pictures
    conventions: Mapping[str, Any]

    @staticmethod
    def of(folder: Path) -> Source:
        """The dataset in a folder.

        Raises:
            DatasetError: it is no dataset of ours, was not finished, or is not as it was written as
                far as can be told without reading its shards.
        """
        manifest = read_manifest(folder)
        listed = listed_hashes(folder)
        if (folder / INCOMPLETE).exists() or not listed:
            raise DatasetError(
                f"{folder} has not been finished: give the command that began it again"
            )
        _refuse_changed(folder, listed)
        try:
            return _source(folder, manifest)
        except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
            raise DatasetError(
                f"{folder / MANIFEST} is damaged ({str(error)[:200]}): take it from a copy"
            ) from None

    def hashes(self, shard: int) -> Mapping[str, str]:
        """The hashes of a shard's files, by name."""
        path = listing_of(self.folder, shard)
        try:
            content = read_file(path, most=MOST_TEXT, inside=self.folder)
            return read_listing(content.decode())
        except (OSError, ValueError) as error:
            raise DatasetError(
                f"{path} is damaged ({error}): render-adapt verify {self.folder} --repair mends it"
            ) from None

    def models(self) -> list[CadModel]:
        """Its objects, in their order.

        Raises:
            ModelError: they cannot be read.
        """
        facts = [self.objects[name] for name in self.names]
        ids = [str(entry["obj_id"]) for entry in facts]
        loaded = load_models(ids, models=self.folder / "models", units="mm")
        return [
            replace(model, name=name, origin=entry["origin"], sha256=entry["sha256"])
            for model, name, entry in zip(loaded, self.names, facts, strict=True)
        ]

    def described(self) -> dict[str, dict[str, Any]]:
        """What `models/` says of each object's shape and symmetries, by name."""
        info = read_written(self.folder, MODELS_INFO)
        return {
            name: {**info[str(self.objects[name]["obj_id"])], "name": ""} for name in self.names
        }


@dataclass(frozen=True)
class Pictures:
    """What all pictures of a dataset have in common."""

    what: str
    """crop or frame."""
    width: int
    height: int
    pixel_centre: float
    rgb: str

    @staticmethod
    def of_run(run: Mapping[str, Any]) -> Pictures:
        """Those of a run, by its manifest."""
        plan = run["plan"]
        width, height = plan.get("width") or plan["size"], plan.get("height") or plan["size"]
        return Pictures(
            planner_of(plan).what, int(width), int(height),
            read_pixel_centre(run["conventions"]), str(run.get("rgb", "png")),
        )  # fmt: skip

    def other_than(self, others: Pictures) -> tuple[str, str] | None:
        """What is not the same in both, in words; None where all is."""
        pairs = zip(self._words(), others._words(), strict=True)
        return next((pair for pair in pairs if pair[0] != pair[1]), None)

    def _words(self) -> list[str]:
        return [
            "whole frames" if self.what == "frame" else "crops",
            f"pictures of {self.width} x {self.height} pixels",
            f"the first pixel's centre at {self.pixel_centre:g} in the coordinates of K",
            f"colours in {self.rgb.upper()} files",
        ]


def _source(folder: Path, manifest: Mapping[str, Any]) -> Source:
    layout, runs = DatasetLayout.of(manifest), runs_of(manifest)
    shards, names = manifest["shards"], manifest["order"]
    objects = {str(name): dict(manifest["objects"][name]) for name in names}
    if type(shards) is not int or shards != layout.count or not names:
        raise ValueError("its numbers do not fit together")
    _refuse_unknown_objects(folder, objects)
    sound, _ = RunFolder(folder).sound(manifest)
    missing = sorted(set(layout.numbers) - sound.keys())
    if missing:
        raise DatasetError(
            f"shard {missing[0]} of {folder} is not as it was written: mend it with render-adapt "
            f"verify {folder} --repair"
        )
    own = {"dataset": folder.resolve().name, "run": dict(manifest)}
    own["sha256"] = hash_file(folder / LISTING, folder)
    pictures = [Pictures.of_run(run) for run in runs]
    if any(other != pictures[0] for other in pictures):
        raise ValueError("its runs do not go together")
    return Source(
        folder, list(manifest.get(MERGED, [own])), layout, sound,
        formats_of(manifest, folder), list(objects), objects, pictures[0],
        dict(manifest["conventions"]),
    )  # fmt: skip


def _refuse_unknown_objects(folder: Path, objects: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse objects that are not each one of the dataset's models.

    Raises:
        ValueError, LookupError: one is none.
    """
    info = read_written(folder, MODELS_INFO)
    numbers = [entry["obj_id"] for entry in objects.values()]
    if not all(type(one) is int and isinstance(info.get(str(one)), dict) for one in numbers):
        raise ValueError("one of its objects has the number of none of the models")
    if len(set(numbers)) < len(numbers):
        raise ValueError("two of its objects have one number")
    if not all(type(one[key]) is str for one in objects.values() for key in ("origin", "sha256")):
        raise ValueError("it does not say where one of its objects is from")


def _refuse_changed(folder: Path, listed: Mapping[str, str]) -> None:
    """Refuse a dataset whose files of no shard are not those that were written."""
    models = {name for name in listed if name.startswith("models/")}
    for name in sorted({MANIFEST, CAMERA, MODELS_INFO} | models):
        try:
            as_written = hash_file(folder / name, folder) == listed.get(name)
        except OSError:
            as_written = False
        if not as_written:
            raise DatasetError(
                f"{folder / name} is not the file that was written: render-adapt verify {folder} "
                "says what else is"
            )


def camera_of(folder: Path) -> Any:
    """What a dataset's `camera.json` says."""
    return parse_json(read_file(folder / CAMERA, most=MOST_TEXT, inside=folder))
