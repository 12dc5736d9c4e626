"""A dataset's card for the Hugging Face Hub, by which `load_dataset` reads it right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from render_adapt._formats.bop_webdataset import web_folder
from render_adapt._formats.format import DerivedFormat
from render_adapt._formats.shard import SPLITS, Shard
from render_adapt._formats.written import read_written, runs_of, written_objects
from safe_files import write_file

CARD = "README.md"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


_NAMES = {"val": "validation"}
"""The Hub's of splits, where BOP has others."""


class HuggingFace(DerivedFormat):
    """`README.md`, which says that the tar files are what is loaded: a dataset of the Hub has files
    of one kind, and the index is read as Parquet files are."""

    name = "huggingface"
    needs = "bop-webdataset"
    shared = (CARD,)

    def finish(self, out: Path, crops: Mapping[Shard, int]) -> list[str]:
        """Writes the card."""
        manifest = read_written(out, "manifest.json")
        write_file(out / CARD, _card(out, manifest, crops))
        return [CARD]


def _card(out: Path, manifest: Mapping[str, Any], crops: Mapping[Shard, int]) -> str:
    count = sum(crops.values())
    there = [split for split in SPLITS if any(shard.split == split for shard in crops)]
    files = "\n".join(
        f"  - split: {_NAMES.get(split, split)}\n    path: {web_folder(split)}/*.tar"
        for split in there
    )
    size = next((words for most, words in _SIZES if count < most), "1M<n<10M")
    runs = runs_of(manifest)
    adapted = [bool(run.get("adapter")) for run in runs]
    some = "and without an adapter" if any(adapted) else "no adapter"
    adapter = "an adapter" if all(adapted) else some
    seeds = ", ".join(dict.fromkeys(str(run["seed"]) for run in runs))
    objects = "\n".join(
        f"| {one.object_id} | {one.name} | {one.diameter:.1f} |" for one in written_objects(out)
    )
    centre = manifest["conventions"].get("pixel_center", 0.5)
    return f"""---
pretty_name: Rendered and adapted crops with 6-D poses
tags:
- 6d-pose-estimation
- synthetic
- bop
- webdataset
size_categories:
- {size}
configs:
- config_name: default
  data_files:
{files}
---

# {count:,} labelled pictures by render-adapt {manifest["version"]}

    from datasets import load_dataset

    pictures = load_dataset("PATH", split="train")
    index = load_dataset("parquet", data_files="PATH/index/*.parquet", split="train")

Renders with {adapter}, seed {seeds}. Each sample of the tar files has `rgb`, `depth`
(16-bit PNG; times `depth_scale` in `camera.json` z in millimetres, 0 where nothing was measured),
`camera.json`, `gt.json`, `gt_info.json`, and masks as run lengths, in the words of BOP's
webdatasets; `index` has a row for each with the target's quaternion, boxes and where the picture
came from.

Poses are from model to camera, millimetres, axes as in OpenCV; the first pixel's centre is at
({centre:g}, {centre:g}) in the coordinates of K.

| object | name | diameter (mm) |
|---|---|---|
{objects}
"""
