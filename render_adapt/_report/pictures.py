"""Pictures of single crops as a page shows them: from the dataset's files, and redrawn."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from render_adapt._config import RunConfig
from render_adapt._exceptions import DatasetError
from render_adapt._formats.crop_reader import CropReader
from render_adapt._formats.registry import formats_of, reader_of
from render_adapt._report.index import ReportedDataset
from render_adapt._runs.description import config_of
from render_adapt._runs.manifest import MANIFEST
from render_adapt._runs.studio import Studio
from renderer import quaternion_from_matrix

_QUALITY = 90
_FOLDERS = ("environments", "photographs", "textures")
"""Of a randomization."""


def open_crops(dataset: ReportedDataset) -> CropReader:
    """What reads a dataset's crops.

    Raises:
        DatasetError: the manifest names no format of ours, or none that crops are read of.
    """
    return reader_of(dataset.folder, formats_of(dataset.manifest, dataset.folder))[1]


def brought_pictures(dataset: ReportedDataset) -> bool:
    """Whether an adapter has put pictures of its own behind its renders."""
    drawn, given = dataset.manifest.get("randomization"), _randomize(dataset)
    pictures = (isinstance(group, dict) and group.get("photographs") for group in (drawn, given))
    return list(map(bool, pictures)) == [True, False]


def redraw_sources(dataset: ReportedDataset, rows: Sequence[int]) -> list[NDArray[np.uint8]]:
    """The renders that the adapter was given, (H, W, 3) each, drawn again from the manifest; on
    black, where photographs came with the adapter.

    Raises:
        RenderAdaptError: they cannot be drawn, or come out in another pose than the index has.
    """
    studio = Studio(_as_run(dataset))
    pictures = []
    for row in rows:
        number = int(dataset.index.number[row])
        render = studio.render(number, number + 1)
        if not _is_same_view(dataset, row, render.plans.rotation, render.plans.translation):
            raise DatasetError(
                f"crop {number} comes out in another pose than the index has, as with another "
                "version of render-adapt than made it"
            )
        pictures.append(render.rgb[0])
    return pictures


def _as_run(dataset: ReportedDataset) -> RunConfig:
    """The run that made a dataset, without its adapter, its models being the dataset's own.

    No path that the manifest names is looked at: it may come from a stranger.
    """
    randomize = _randomize(dataset)
    if len(dataset.runs) > 1:
        raise DatasetError("the dataset was merged of several")
    if not isinstance(randomize, dict):
        raise DatasetError(f"{MANIFEST} does not have the run's settings")
    folders = [name for name in _FOLDERS if randomize.get(name)]
    if folders:
        raise DatasetError(f"the run took {' and '.join(folders)} from a folder of its own")
    drawn = dataset.manifest.get("randomization")
    if isinstance(drawn, dict) and not brought_pictures(dataset):
        # What an adapter brought, too.
        randomize = randomize | {name: drawn[name] for name in drawn if name not in _FOLDERS}
    settings = {**dataset.manifest["settings"], "randomize": randomize}
    if settings.get("lit_by") == "scene":
        raise DatasetError("its light is that of a .blend file, which is not in it")
    names = tuple(model.name for model in dataset.models)
    targets = len(names) - len(settings.get("distractors", ()))
    return config_of(
        {**dataset.manifest, "settings": settings},
        dataset.folder,
        objects=names[:targets],
        distractors=names[targets:],
        models=dataset.folder / "models",
        units="mm",
        adapter="none",
        min_fidelity=0.0,  # which judges adapters
        workers=1,
    )


def _randomize(dataset: ReportedDataset) -> object:
    settings = dataset.manifest.get("settings")
    return settings.get("randomize") if isinstance(settings, dict) else None


def _is_same_view(
    dataset: ReportedDataset,
    row: int,
    rotation: NDArray[np.float64],
    translation: NDArray[np.float64],
) -> bool:
    index = dataset.index
    return bool(
        np.allclose(quaternion_from_matrix(rotation[0]), index.quaternion[row], atol=1e-6)
        and np.allclose(translation[0], index.translation[row], atol=1e-3)
    )


def as_data_uri(picture: NDArray[np.uint8], side: int) -> str:
    """An RGB picture, its shorter side no longer than `side` pixels, as a `data:` URI."""
    height, width = picture.shape[:2]
    scale = side / min(height, width)
    if scale < 1:
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    colors = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".webp", colors, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    return "data:image/webp;base64," + base64.b64encode(encoded.tobytes()).decode()


def outline(mask: NDArray[np.bool_]) -> str:
    """The border of a mask along the edges of its pixels, as an SVG path in pixels of the crop."""
    padded = np.pad(mask, 1)
    steps = []
    for row, column, length in _runs(padded[1:, 1:-1] != padded[:-1, 1:-1]):
        steps.append(f"M{column} {row}h{length}")
    for column, row, length in _runs((padded[1:-1, 1:] != padded[1:-1, :-1]).T):
        steps.append(f"M{column} {row}v{length}")
    return "".join(steps)


def _runs(edges: NDArray[np.bool_]) -> list[list[int]]:
    """[line, start, length] of each unbroken run along the lines of (L, M) edges."""
    changes = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    line, start = np.nonzero(changes == 1)
    _, end = np.nonzero(changes == -1)
    runs: list[list[int]] = np.column_stack([line, start, end - start]).tolist()
    return runs
