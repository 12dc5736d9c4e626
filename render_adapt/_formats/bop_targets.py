"""What bop_toolkit's scripts want beside scenes: `models_eval/`, and a list of targets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from render_adapt._files import MOST_BYTES
from render_adapt._formats.format import DerivedFormat
from render_adapt._formats.shard import SPLITS, Shard
from render_adapt._formats.written import read_scene
from safe_files import list_folder, read_file, write_file

TARGETS = "test_targets_bop19.json"
MODELS_EVAL = "models_eval"
_LEAST_VISIBLE = 0.1
"""As in bop_toolkit's `enumerate_test_targets.py`."""


class BopTargets(DerivedFormat):
    """The models once more, and how many of each object an image shows.

    Convention:
        Models are those of `models/`: BOP's own have fewer faces and no colours, for speed.
        Instances count that are seen to a tenth or more. Of splits the last one counts: test, or
        val where there is none.
    """

    name = "bop-targets"
    needs = "bop"
    reads_shards = True
    shared = (TARGETS, MODELS_EVAL)

    def finish(self, out: Path, crops: Mapping[Shard, int]) -> list[str]:
        """Writes them."""
        (out / MODELS_EVAL).mkdir(exist_ok=True)
        names = []
        kinds = frozenset({".ply", ".png", ".json"})
        for file in list_folder(out / "models", kinds):
            names.append(f"{MODELS_EVAL}/{file.name}")
            write_file(out / names[-1], read_file(file, most=MOST_BYTES, inside=out))
        held_out = max((shard.split for shard in crops), key=SPLITS.index)
        shards = [shard for shard in sorted(crops) if shard.split == held_out]
        rows = [row for shard in shards for row in _targets(out, shard)]
        write_file(out / TARGETS, "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
        return [TARGETS, *sorted(names)]


def _targets(out: Path, shard: Shard) -> list[dict[str, int]]:
    gt, info = read_scene(out, shard, ["gt", "gt_info"])
    rows = []
    for image, entries in gt.items():
        counts = Counter(
            entry["obj_id"]
            for entry, facts in zip(entries, info[image], strict=True)
            if facts["visib_fract"] >= _LEAST_VISIBLE
        )
        for object_id, count in sorted(counts.items()):
            rows.append(
                {
                    "im_id": int(image),
                    "inst_count": count,
                    "obj_id": object_id,
                    "scene_id": shard.number,
                }
            )
    return rows
