"""The table of all crops, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from cad_models import CadModel
from render_adapt._align.result import Result
from renderer import quaternion_from_matrix

TABLE = "crops.csv"
COLUMNS = (
    "file", "object", "confidence", "qw", "qx", "qy", "qz", "tx", "ty", "tz", "focal", "kept",
    "image",
)  # fmt: skip


def table_text(result: Result, models: Sequence[CadModel]) -> str:
    """One row for each crop of the target, in the order of their names.

    Convention:
        `file` is a picture's name within the target, without its ending. Poses are model-to-camera,
        millimetres, of a camera that looks straight at the crop's middle with a focal length of
        `focal` pixels of the crop; of a crop without a pose they are empty.
        Confidence is from 0 to 1; `kept` is yes or no; `image` is the crop's number in the dataset.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    poses, images = result.poses, result.image_of
    quaternions = quaternion_from_matrix(poses.rotation)
    for row, name in enumerate(result.names):
        pose = [""] * 8
        if result.found[row]:
            pose = [f"{value:.6f}" for value in quaternions[row]]
            pose += [f"{value:.3f}" for value in poses.translation[row]]
            pose.append(f"{poses.camera_matrix[row, 0, 0]:.3f}")
        kept = bool(result.kept[row])
        rows.writerow(
            [
                name, models[poses.object_index[row]].name, f"{result.confidence[row]:.4f}", *pose,
                "yes" if kept else "no", images[row] if kept else "",
            ]
        )  # fmt: skip
    return text.getvalue()
