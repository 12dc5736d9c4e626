"""Fuzz targets for longer, by hand: `python -m tests.fuzz TARGET MINUTES`.

Every target is a hypothesis test, short in the suite. Here it runs under atheris where that is
installed, which steers by the code that an input reaches, and else with random examples. It ends
with the first example that fails.
"""

from __future__ import annotations

import importlib
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TARGETS = {
    "meshes": "tests.test_fuzz_models:test_damaged_meshes",
    "ply-headers": "tests.test_fuzz_models:test_any_ply_header",
    "ply-looks": "tests.test_fuzz_models:test_any_looks_of_a_ply",
    "obj": "tests.test_fuzz_models:test_any_obj",
    "mtl": "tests.test_fuzz_models:test_any_mtl",
    "off": "tests.test_fuzz_models:test_any_off",
    "stl": "tests.test_fuzz_models:test_any_stl",
    "gltf": "tests.test_fuzz_models:test_damaged_gltf",
    "gltf-scenes": "tests.test_fuzz_gltf:test_damaged_scenes",
    "glb": "tests.test_fuzz_gltf:test_damaged_containers",
    "gltf-accessors": "tests.test_fuzz_gltf:test_any_accessor",
    "3mf": "tests.test_fuzz_models:test_damaged_three_mf",
    "collada": "tests.test_fuzz_models:test_damaged_collada",
    "step": "tests.test_fuzz_models:test_damaged_step",
    "models-info": "tests.test_fuzz_models:test_damaged_models_info",
    "adapter-json": "tests.test_fuzz_adapters:test_damaged_descriptions",
    "weights": "tests.test_fuzz_adapters:test_damaged_weights",
    "safetensors": "tests.test_fuzz_adapters:test_any_safetensors_header",
    "calibration": "tests.test_fuzz_adapters:test_damaged_calibrations",
    "checkpoint": "tests.test_fuzz_adapters:test_damaged_checkpoints",
    "toml": "tests.test_fuzz_settings:test_damaged_toml",
    "manifest": "tests.test_fuzz_settings:test_damaged_manifests",
    "shard-entries": "tests.test_fuzz_settings:test_damaged_shard_entries",
    "index": "tests.test_fuzz_settings:test_damaged_indexes",
    "target-pictures": "tests.test_target_folders:test_damaged_target_pictures",
    "target-scenes": "tests.test_fuzz_scenes:test_damaged_target_scenes",
    "dataset-scenes": "tests.test_fuzz_scenes:test_damaged_dataset_scenes",
    "tar-files": "tests.test_fuzz_scenes:test_damaged_tar_files",
    "run-files": "tests.test_fuzz_settings:test_damaged_run_files",
    "boxes": "tests.test_fuzz_inputs:test_damaged_boxes",
    "picture-poses": "tests.test_fuzz_inputs:test_damaged_picture_poses",
    "adaptations": "tests.test_fuzz_inputs:test_damaged_adaptations",
    "merged-manifests": "tests.test_fuzz_settings:test_damaged_merged_manifests",
}


PACKAGES = ("safe_files", "cad_models", "renderer", "adapter", "render_adapt")
"""Whose code an input is to reach."""


def main(name: str, minutes: float) -> None:
    """Run one target for so long."""
    module, function = TARGETS[name].split(":")
    try:
        import atheris
    except ModuleNotFoundError:
        _run_hypothesis(getattr(importlib.import_module(module), function), minutes)
        return
    with atheris.instrument_imports(include=list(PACKAGES)):
        test = getattr(importlib.import_module(module), function)
    with tempfile.TemporaryDirectory() as corpus:
        # Short inputs say too little to draw an example from.
        for number in range(50):
            content = random.Random(number).randbytes(40 * (number + 1))
            (Path(corpus) / str(number)).write_bytes(content)
        limits = [f"-max_total_time={60 * minutes:.0f}", "-max_len=4096", "-rss_limit_mb=6000"]
        atheris.Setup([sys.argv[0], corpus, *limits, "-timeout=20"], test.hypothesis.fuzz_one_input)
        atheris.Fuzz()


def _run_hypothesis(test: Any, minutes: float) -> None:
    """Draw examples from random bytes: what a test's own settings say has no part in it."""
    end, count = time.monotonic() + 60 * minutes, 0
    generator = random.Random(time.time_ns())
    while time.monotonic() < end:
        test.hypothesis.fuzz_one_input(generator.randbytes(generator.randint(40, 4096)))
        count += 1
    sys.stdout.write(f"{count} examples, none failed\n")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
