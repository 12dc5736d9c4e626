"""The manifest: what run a dataset's folder belongs to, and whether a command is of that run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from render_adapt._exceptions import DatasetError
from render_adapt._files import MOST_CROPS, MOST_TEXT, hash_file, read_listing
from render_adapt._formats.written import MERGED
from render_adapt._runs.layout import GROWN_FROM, OLD_SHARD_SIZE, DatasetLayout, ShardLayout
from render_adapt._stores.address import StoreAddress
from safe_files import parse_json, read_file

MANIFEST = "manifest.json"
LISTING = "dataset.sha256"
MOST_MANIFEST = 2**24
"""Bytes of a manifest."""
_NOT_DECISIVE = ("settings", "verdict", "versions")
"""Of a manifest: where things lay, with what it was made, and what that is worth."""
_FOLLOWING = ("config_sha256", "conventions", "shards")
"""Of a manifest: what says nothing that its other entries do not."""
_LAYOUT = ("shard_size", GROWN_FROM)
"""Of a manifest: how crops are put into files, which changes no crop."""


def shard_range(shard: int, run: Mapping[str, Any]) -> tuple[int, int]:
    """First crop of a shard, and the first one after it, by a dataset's manifest."""
    return DatasetLayout.of(run).range_of(shard)


def made_as(shard: int, run: Mapping[str, Any]) -> Mapping[str, Any]:
    """A run's manifest as it was when the run had as many crops as when the shard was made.

    Its `config_sha256` is what the shard's rows of the index have.
    """
    layout = ShardLayout.of_run(run)
    return run_of_length(layout.lengths[layout.part_of(shard)], run)


def run_of_length(n: int, run: Mapping[str, Any]) -> Mapping[str, Any]:
    """A run's manifest, in what decides its crops, as it was when the run had n crops."""
    if n == run["n"]:
        return run
    earlier = {**run, "n": n}
    return earlier | {"config_sha256": config_hash(earlier)}


def as_it_grew(run: Mapping[str, Any], present: Mapping[str, Any]) -> Mapping[str, Any]:
    """A run with what the manifest in its folder says of how it grew."""
    if GROWN_FROM not in present:
        return run
    grown = {**run, GROWN_FROM: present[GROWN_FROM]}
    return grown | {"shards": ShardLayout.of_run(grown).count}


def is_longer(run: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """Whether a run is that which is present, but for more crops."""
    same = {**settings_of(run), "n": 0} == {**settings_of(present), "n": 0}
    return same and run["n"] > present.get("n", 0) > 0


def grown(present: Mapping[str, Any], n: int) -> Mapping[str, Any]:
    """The manifest of a run that goes on to have more crops."""
    grown = {**present, GROWN_FROM: [*present.get(GROWN_FROM, ()), present["n"]], "n": n}
    if isinstance(present.get("settings"), dict):
        grown["settings"] = {**present["settings"], "n": n}
    layout = ShardLayout.of_run(grown)
    return grown | {"shards": layout.count, "config_sha256": config_hash(grown)}


def manifest_text(run: Mapping[str, Any]) -> str:
    """What a manifest's file holds."""
    return json.dumps(run, indent=2, sort_keys=True) + "\n"


def read_manifest(folder: Path) -> dict[str, Any]:
    """What run a folder belongs to.

    Raises:
        DatasetError: there is no manifest, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        manifest = parse_json(read_file(path, most=MOST_MANIFEST, inside=folder))
        if not isinstance(manifest, dict):
            raise ValueError("it is not one of ours")
        crops = manifest.get("n", 0)
        if type(crops) is not int or not 0 <= crops <= MOST_CROPS:
            raise ValueError("it has a number of crops that no run has")
        if GROWN_FROM in manifest or MERGED in manifest:
            DatasetLayout.of(manifest)  # which says what makes no sense
    except (FileNotFoundError, NotADirectoryError):
        what = f"it has no {MANIFEST}" if folder.exists() else "it is not there"
        raise DatasetError(
            f"{folder} is no dataset of render-adapt: {what}; give the folder that a run wrote"
        ) from None
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read ({error.strerror}): take it from a copy"
        ) from None
    except ValueError as error:
        raise DatasetError(f"{path} is damaged ({error}): take it from a copy") from None
    return manifest


def layout_in(folder: Path, manifest: Mapping[str, Any]) -> DatasetLayout:
    """How a dataset's crops lie in shards, by its manifest.

    Raises:
        DatasetError: its numbers make no sense.
    """
    try:
        layout = DatasetLayout.of(manifest)
        shards = manifest.get("shards")
        if type(shards) is not int or shards != layout.count:
            raise ValueError("it does not say how many shards there are")
    except ValueError as error:
        raise DatasetError(
            f"{folder / MANIFEST} is damaged ({error}): take it from a copy"
        ) from None
    return layout


def listed_hashes(folder: Path) -> Mapping[str, str]:
    """What `dataset.sha256` lists; nothing where it is not there, or no list."""
    try:
        content = read_file(folder / LISTING, most=MOST_TEXT, inside=folder)
        return read_listing(content.decode())
    except (OSError, ValueError):
        return {}


def config_hash(manifest: Mapping[str, Any]) -> str:
    """Of all in a manifest that decides the crops."""
    left_out = {*_NOT_DECISIVE, *_FOLLOWING, *_LAYOUT}
    decisive = {key: value for key, value in manifest.items() if key not in left_out}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def refuse_changed_manifest(folder: Path) -> None:
    """Refuse to work by a manifest that is not the one that was written.

    A finished dataset's list has its hash; before that, it has one of what decides the crops.

    Raises:
        DatasetError: it is not, or there is none.
    """
    manifest, listed = read_manifest(folder), listed_hashes(folder)
    as_listed = not listed or listed.get(MANIFEST) == hash_file(folder / MANIFEST, folder)
    if not as_listed or manifest.get("config_sha256") != config_hash(manifest):
        raise DatasetError(
            f"{folder / MANIFEST} is not the file that was written (its SHA-256 differs), so that "
            "nothing can be made by it: take it from a copy, or give `out` another folder to make "
            "the dataset anew"
        )


def refuse_other_run(
    present: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path | StoreAddress
) -> None:
    """Refuse to work on a run in the folder of another.

    Raises:
        DatasetError: what decides the bytes of the two is not the same; the message says what.
    """
    present_settings, wanted_settings = settings_of(present), settings_of(wanted)
    keys = sorted(
        key
        for key in {*present_settings, *wanted_settings}
        if present_settings.get(key) != wanted_settings.get(key)
    )
    if keys:
        difference = ", ".join(_both(key, present_settings, wanted_settings) for key in keys[:8])
        difference += f" and {len(keys) - 8} more" if len(keys) > 8 else ""
        raise DatasetError(
            f"{folder} holds another run ({difference}): "
            "give `out` another folder, or the same settings to continue that run"
        )


def settings_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What decides a run's bytes, one level deep."""
    settings: dict[str, Any] = {}
    for key, value in {"shard_size": OLD_SHARD_SIZE, **manifest}.items():
        if key in _FOLLOWING or key in _NOT_DECISIVE or key == GROWN_FROM:
            continue
        nested = value if isinstance(value, dict) else {}
        settings |= {f"{key}.{name}": entry for name, entry in nested.items()}
        if not nested:
            settings[key] = value
    return settings


def _both(key: str, present: dict[str, Any], wanted: dict[str, Any]) -> str:
    if key not in wanted:
        return f"{key:.60} only there"
    if key not in present:
        return f"{key:.60} only here"
    texts = [json.dumps(settings[key]) for settings in (present, wanted)]
    if max(len(text) for text in texts) > 40:
        return f"{key:.60} not the same"
    return f"{key:.60} {texts[0]} there, {texts[1]} here"
