"""Where objects are by BOP poses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapter._target.bop_scenes import malformed_entry, read_seen
from adapter._target.json_files import numbers, read_json
from adapter._target.report import UNSEEN, Tally
from cad_models import load_models
from checked_settings import SettingError
from render_adapt._config import Units
from render_adapt._target_crops.frame import Frame, Seen
from renderer import Centre, centre_points


class Poses:
    """Objects of a BOP dataset's frames, by what is to be in the middle of their crops.

    Args:
        folder: the dataset's.
        centre: None takes the mean with models, and the origin without.
        models: the models folder, for mean and box.
        units: of its meshes.
        min_visible: share that must be seen of an object.
        tally: takes those that are not.

    Raises:
        SettingError: a centre needs models.
    """

    def __init__(
        self,
        folder: Path,
        centre: Centre | None,
        models: Path | None,
        units: Units | None,
        min_visible: float,
        tally: Tally,
    ) -> None:
        self.centre: Centre = centre or ("mean" if models else "origin")
        if self.centre in ("mean", "box") and models is None:
            raise SettingError(
                f"`centre` {self.centre} is a point of the object's mesh: give `models` too, or "
                "`centre` origin"
            )
        self._folder, self._models, self._units = folder, models, units
        self._min_visible, self._tally = min_visible, tally
        self._files: dict[Path, dict[str, Any]] = {}
        self._known: dict[int, tuple[str, NDArray[np.float64]]] = {}

    def of(self, frame: Frame) -> list[Seen]:
        """The objects of a frame that are seen.

        Raises:
            AdapterError: a file of its scene is malformed.
        """
        scene = Path(frame.source)
        key, where = str(frame.number), self._folder / scene
        entries = self._file(scene / "scene_gt.json").get(key, [])
        infos = self._file(scene / "scene_gt_info.json").get(key)
        if not isinstance(entries, list):
            raise malformed_entry(where / "scene_gt.json", key)
        is_seen = read_seen(where, key, infos, len(entries), self._min_visible)
        found = []
        for number, entry in enumerate(entries):
            if is_seen[number]:
                found.append(self._seen(where, key, entry, infos and infos[number]))
            else:
                self._tally.add(UNSEEN, f"{frame.name} object {number}")
        return found

    def _file(self, name: Path) -> dict[str, Any]:
        if name not in self._files:
            is_there = (self._folder / name).is_file()
            self._files[name] = read_json(name, self._folder) if is_there else {}
        return self._files[name]

    def _seen(self, scene: Path, key: str, entry: Any, info: Any) -> Seen:
        fields = entry if isinstance(entry, dict) else {}
        rotation = numbers(fields.get("cam_R_m2c"), 9)
        translation = numbers(fields.get("cam_t_m2c"), 3)
        object_id = fields.get("obj_id")
        if rotation is None or translation is None or type(object_id) is not int:
            raise malformed_entry(scene / "scene_gt.json", key)
        label, point = self._model(object_id)
        place = rotation.reshape(3, 3) @ point + translation
        if self.centre != "visible":
            return Seen(label, None, point=place)
        box = numbers(info.get("bbox_visib"), 4) if info else None
        if box is None:
            raise SettingError(
                f"`centre` visible is the middle of what is seen, which {scene} has no "
                "scene_gt_info.json to say: give another centre"
            )
        # BOP's sides are from the first pixel to the last.
        return Seen(label, box + np.array([0, 0, 1, 1]), distance=float(place[2]))

    def _model(self, object_id: int) -> tuple[str, NDArray[np.float64]]:
        """An object's name, and the point of it whose depth is the crop's."""
        if object_id not in self._known:
            name, point = str(object_id), np.zeros(3)
            if self._models is not None:
                models = load_models([name], models=self._models, units=self._units)
                name, point = models[0].name, centre_points(models, self.centre)[0]
            self._known[object_id] = name, point
        return self._known[object_id]
