"""Runs bop_toolkit's scripts, as they are, on a dataset it has never heard of.

It is started by `benchmarks.bop_toolkit_check`, with a Python that has what bop_toolkit needs, and
imports nothing of ours. Some scripts have no command line: what stands in their table of parameters
is changed as their users do, by hand, and nothing else. A dataset that the toolkit does not know is
described to it in the place of "lm"; the file of test targets and the folder of evaluation models,
which it asks for though nothing here depends on them, are made.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

DELTA = 15
"""Millimetres by which a surface may lie behind the measured depth and count as visible: the
toolkit's own value."""


def main() -> None:
    """`scripts TOOLKIT DATASET`, or `unpack TOOLKIT DATASET FOLDER`."""
    command, toolkit, dataset = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    os.environ.setdefault("EGL_PLATFORM", "surfaceless")
    os.environ["BOP_PATH"] = str(dataset.parent)
    os.environ["BOP_OUTPUT_PATH"] = str(dataset.parent / "output")
    sys.path.insert(0, str(toolkit))
    if command == "unpack":
        unpack(dataset, Path(sys.argv[4]))
    else:
        run_scripts(toolkit / "scripts", dataset)


def unpack(dataset: Path, folder: Path) -> None:
    """Write a webdataset scene-wise, read and written by the toolkit."""
    from bop_toolkit_lib import inout
    from bop_toolkit_lib.dataset import bop_webdataset

    shards = json.loads((dataset / "train_web/key_to_shard.json").read_text())
    scenes: dict[str, dict[str, dict[int, Any]]] = {}
    for key, shard in shards.items():
        image = bop_webdataset.load_image_data(
            dataset / f"train_web/shard-{shard:06d}.tar", key, load_mask=True, load_gt=True,
            load_gt_info=True, rescale_depth=False, rgb_suffix=".png",
        )  # fmt: skip
        scene, number = key.split("_")
        place = folder / "train" / scene
        for kind in ("rgb", "depth", "mask", "mask_visib"):
            (place / kind).mkdir(parents=True, exist_ok=True)
        inout.save_im(str(place / f"rgb/{number}.png"), image["im_rgb"])
        inout.save_depth(str(place / f"depth/{number}.png"), image["im_depth"])
        for kind in ("mask", "mask_visib"):
            for instance, mask in enumerate(image[kind]):
                inout.save_im(
                    str(place / f"{kind}/{number}_{instance:06d}.png"),
                    255 * mask.astype("uint8"),
                )
        entries = scenes.setdefault(scene, {"camera": {}, "gt": {}, "gt_info": {}})
        camera = dict(image["camera"], cam_K=inout.np.array(image["camera"]["cam_K"]).reshape(3, 3))
        for name, entry in (("camera", camera), ("gt", image["gt"]), ("gt_info", image["gt_info"])):
            entries[name][int(number)] = entry
    for scene, entries in scenes.items():
        place = folder / "train" / scene
        inout.save_scene_camera(str(place / "scene_camera.json"), entries["camera"])
        inout.save_scene_gt(str(place / "scene_gt.json"), entries["gt"])
        inout.save_json(str(place / "scene_gt_info.json"), entries["gt_info"])
    shutil.copytree(dataset / "models", folder / "models")
    shutil.copy(dataset / "camera.json", folder)


def run_scripts(scripts: Path, dataset: Path) -> None:
    """Run the five scripts; they write over the dataset's own files."""
    describe(dataset)
    make_targets(dataset)
    shutil.copytree(dataset / "models", dataset / "models_eval", dirs_exist_ok=True)
    split = ["--dataset", dataset.name, "--dataset_split", "train"]
    table = {"dataset": dataset.name, "dataset_split": "train", "dataset_split_type": None}
    changes = {**table, "modality": None, "sensor": None, "delta": DELTA}
    run(scripts / "calc_gt_info.py", [], changes)
    run(scripts / "calc_gt_masks.py", split, {"delta": DELTA})
    run(scripts / "calc_gt_coco.py", [*split, "--use_all_gt"], {})
    run(scripts / "calc_model_info.py", [], {"dataset": dataset.name, "model_type": None})
    pictures = ["--vis_path", str(dataset.parent / "pictures"), "--vis_types", "overlay"]
    run(scripts / "vis_poses.py", ["gt", *split, *pictures], {})


def describe(dataset: Path) -> None:
    """Have the toolkit know the dataset: as it knows "lm", in another folder and size."""
    from bop_toolkit_lib import dataset_params

    split_params, model_params = dataset_params.get_split_params, dataset_params.get_model_params
    camera = json.loads((dataset / "camera.json").read_text())

    def moved(params: dict[str, Any]) -> dict[str, Any]:
        their_folder, our_folder = f"{os.sep}lm{os.sep}", f"{os.sep}{dataset.name}{os.sep}"
        return {
            key: value.replace(their_folder, our_folder) if isinstance(value, str) else value
            for key, value in params.items()
        }

    def get_split_params(
        datasets_path: str, dataset_name: str, split: str, split_type: str | None = None
    ) -> dict[str, Any]:
        params = moved(split_params(datasets_path, "lm", split, split_type))
        params["name"], params["base_path"] = dataset_name, str(dataset)
        params["im_size"] = camera["width"], camera["height"]
        params["scene_ids"] = dataset_params.get_present_scene_ids(params)
        return params

    def get_model_params(
        datasets_path: str, dataset_name: str, model_type: str | None = None
    ) -> dict[str, Any]:
        params = moved(model_params(datasets_path, "lm", model_type))
        files = (dataset / "models").glob("obj_*.ply")
        params["obj_ids"] = sorted(int(file.stem.removeprefix("obj_")) for file in files)
        params["symmetric_obj_ids"] = []
        return params

    dataset_params.get_split_params = get_split_params
    dataset_params.get_model_params = get_model_params


def make_targets(dataset: Path) -> None:
    """Write `test_targets_bop19.json`: all there is."""
    targets = []
    for scene in sorted((dataset / "train").iterdir()):
        for image, objects in json.loads((scene / "scene_gt.json").read_text()).items():
            identifiers = [entry["obj_id"] for entry in objects]
            targets += [
                {
                    "scene_id": int(scene.name), "im_id": int(image), "obj_id": identifier,
                    "inst_count": identifiers.count(identifier),
                }
                for identifier in sorted(set(identifiers))
            ]  # fmt: skip
    (dataset / "test_targets_bop19.json").write_text(json.dumps(targets))


def run(script: Path, arguments: list[str], changes: dict[str, Any]) -> None:
    """Run a script with a command line, its table of parameters changed."""
    source = script.read_text()
    for key, value in changes.items():
        source, changed = re.subn(
            rf'^(    "{key}": )[^,]*,', lambda match, value=value: f"{match[1]}{value!r},",
            source, count=1, flags=re.MULTILINE,
        )  # fmt: skip
        if not changed:
            raise SystemExit(f"{script} has no parameter {key}: is it of another version?")
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))
    exec(compile(source, str(script), "exec"), {"__name__": "__main__", "__file__": str(script)})
    sys.path.pop(0)


if __name__ == "__main__":
    main()
