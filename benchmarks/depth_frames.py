"""LINEMOD's real depth frames, and what their depth would be without a sensor's errors.

Twelve frames have depth: ten of the driller, one of the cat, one of LM-O with a driller in it. The
labelled poses are those of the colour camera and a few millimetres off in depth; here the object is
moved (not turned) until its model agrees with the measured depth, and the board is the plane that
agrees with most of the depth about the object.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel, load_models
from renderer import CropBatch, Instances, Plans, RasterRenderer, Surfaces

FOCAL_LENGTH = (572.4114, 573.57043)
PRINCIPAL_POINT = (325.2611, 242.04899)
"""Pixels, with the first pixel's centre at 0."""
STEPS = 342000.0
"""Depth in millimetres is about this over a whole number: eighths of a pixel of disparity. Fitted
to the depths from 1000 to 2500 mm that occur: 42,750 mm px / 8, with an rms of 0.29 mm, as rounding
to millimetres leaves."""

_DRILLER_TURN = np.diag([-1.0, 1.0, -1.0])
_DRILLER_OFFSET = np.array([-8.40, -1.77, -100.17])
"""Katsileros' poses are of the original mesh: x_original = turn @ x_bop + offset, millimetres."""


@dataclass(frozen=True)
class Frame:
    """A real frame of 640 x 480 pixels."""

    name: str
    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    """(H, W), whole millimetres, 0 = no measurement."""
    model: CadModel
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    """The object's pose as labelled."""


@dataclass(frozen=True)
class Truth:
    """What the depth of a frame is, where that is known."""

    object_depth: NDArray[np.float32]
    """(H, W), z of the object's CAD model, 0 beside it."""
    slope: NDArray[np.float32]
    """(H, W), degrees between the object's normal and the line of sight, 0 beside it."""
    board_depth: NDArray[np.float32]
    """(H, W), z of the board's plane, everywhere."""
    board: NDArray[np.bool_]
    """(H, W), where the bare board is seen, well off its border and off what stands on it."""
    moved: NDArray[np.float64]
    """(3,), millimetres by which the labelled translation was moved."""


def read_frames(data: Path) -> list[Frame]:
    """The twelve frames.

    Args:
        data: folder that holds `linemod/` and `lmo/`.
    """
    driller, cat = load_models(["driller", "cat"], models=data / "linemod/models")
    folder = data / "linemod/frames"
    frames = [_driller_frame(folder / "katsileros_driller_10", i, driller) for i in range(10)]
    text = (folder / "dpod/06/gt.yml").read_text()
    match = re.search(r"^0:\n- cam_R_m2c: \[(.*?)\]\n  cam_t_m2c: \[(.*?)\]", text, re.M)
    assert match is not None, "gt.yml begins with frame 0"
    pose = [np.array(part.split(","), np.float64) for part in match.groups()]
    frames.append(_png_frame(folder / "lm06_frame0", cat, pose[0].reshape(3, 3), pose[1]))
    objects = json.loads((data / "lmo/test/000002/scene_gt.json").read_text())["3"]
    (label,) = [entry for entry in objects if entry["obj_id"] == driller.object_id]
    rotation = np.array(label["cam_R_m2c"]).reshape(3, 3)
    translation = np.array(label["cam_t_m2c"])
    frames.append(_png_frame(folder / "sam6d_lmo_frame3", driller, rotation, translation))
    return frames


def _driller_frame(folder: Path, number: int, model: CadModel) -> Frame:
    content = (folder / f"depth{number}.dpt").read_bytes()
    rows, columns = np.frombuffer(content, np.int32, 2)
    depth = np.frombuffer(content, np.uint16, rows * columns, offset=8).reshape(rows, columns)
    rotation, translation = (
        np.array((folder / f"{name}{number}.{name}").read_text().split()[2:], np.float64)
        for name in ("rot", "tra")
    )
    turn = rotation.reshape(3, 3)
    return Frame(
        name=f"driller {number}",
        rgb=_read(folder / f"color{number}.jpg")[..., ::-1],
        depth=depth.astype(np.float32),
        model=model,
        rotation=turn @ _DRILLER_TURN,
        translation=10 * translation + turn @ _DRILLER_OFFSET,  # they are in centimetres
    )


def _png_frame(
    folder: Path, model: CadModel, rotation: NDArray[np.float64], translation: NDArray[np.float64]
) -> Frame:
    rgb, depth = _read(folder / "rgb.png")[..., ::-1], _read(folder / "depth.png")
    return Frame(folder.name, rgb, depth.astype(np.float32), model, rotation, translation)


def _read(file: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise SystemExit(f"{file} cannot be read: get the data anew.")
    return np.asarray(image)


def disparity(depth: NDArray[np.floating]) -> NDArray[np.float64]:
    """In eighths of a pixel; not a number where there is no depth."""
    return np.asarray(STEPS / np.where(depth > 0, depth, np.nan), np.float64)


def truth_of(frame: Frame) -> Truth:
    """Move the object and fit the board until they agree with the measured depth."""
    translation = _moved(frame)
    crop = _render(frame, translation)
    object_depth = crop.depth[0]
    assert crop.normals is not None, "they were asked for"
    cosine = np.abs((crop.normals[0] * _rays()).sum(axis=2)) / np.linalg.norm(_rays(), axis=2)
    slope = np.degrees(np.arccos(np.clip(cosine, 0, 1)))
    plane, board = _board(frame, translation)
    return Truth(
        object_depth=object_depth,
        slope=np.where(object_depth > 0, slope, 0).astype(np.float32),
        board_depth=(STEPS / plane).astype(np.float32),
        board=board,
        moved=translation - frame.translation,
    )


def _moved(frame: Frame) -> NDArray[np.float64]:
    """Point to plane, robustly, translation only; what the depth says little about stays put."""
    translation = frame.translation.copy()
    for tolerance in (20.0, 20.0, 20.0, 10.0, 10.0, 10.0):
        crop = _render(frame, translation)
        assert crop.normals is not None, "they were asked for"
        z, normals = crop.depth[0], crop.normals[0].astype(np.float64)
        inside = cv2.erode(crop.mask[0].astype(np.uint8), np.ones((5, 5))) > 0
        used = inside & (frame.depth > 0) & (np.abs(frame.depth - z) < tolerance)
        gap = ((frame.depth - z)[..., None] * _rays() * normals).sum(axis=2)[used]
        normal = normals[used]
        weighted = normal / np.maximum(1, np.abs(gap) / 3)[:, None]
        translation += np.linalg.solve(weighted.T @ normal + 50 * np.eye(3), weighted.T @ gap)
    return translation


def _board(
    frame: Frame, translation: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The board's disparity, a plane in the image, and the pixels that show it bare."""
    up = frame.rotation[:, 2]
    point = translation + up * frame.model.bounds[0, 2]
    plane = STEPS * (_rays() @ up) / (up @ point)
    measured = disparity(frame.depth)
    across, down = np.meshgrid(np.arange(640) - 320.0, np.arange(480) - 240.0)
    design = np.stack([np.ones_like(across), across, down], axis=-1)
    near = np.hypot(across, down) < 230
    plane += np.median((measured - plane)[near & (np.abs(measured - plane) < 5)])
    for tolerance in (5.0, 3.0, 2.5, 2.0, 2.0, 2.0):
        used = near & (np.abs(measured - plane) < tolerance)
        plane = design @ np.linalg.lstsq(design[used], measured[used], rcond=None)[0]
    close = (np.abs(measured - plane) < 6).astype(np.float32)
    total = cv2.blur(np.nan_to_num(measured - plane) * close, (9, 9))
    mean = total / np.maximum(cv2.blur(close, (9, 9)), 1e-3)
    flat = ((close > 0) & (np.abs(mean) < 1.5)).astype(np.uint8)
    flat = cv2.morphologyEx(flat, cv2.MORPH_CLOSE, np.ones((3, 3)))
    _, parts, sizes, _ = cv2.connectedComponentsWithStats(cv2.erode(flat, np.ones((9, 9))))
    board = parts == 1 + int(np.argmax(sizes[1:, cv2.CC_STAT_AREA]))
    return plane, board & (frame.depth > 0)


@functools.cache
def _rays() -> NDArray[np.float64]:
    """(H, W, 3), the direction of each pixel's centre, z = 1."""
    column, row = np.meshgrid(np.arange(640.0), np.arange(480.0))
    x = (column - PRINCIPAL_POINT[0]) / FOCAL_LENGTH[0]
    y = (row - PRINCIPAL_POINT[1]) / FOCAL_LENGTH[1]
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def _render(frame: Frame, translation: NDArray[np.float64]) -> CropBatch:
    camera = np.array(
        [
            [FOCAL_LENGTH[0], 0, PRINCIPAL_POINT[0] + 0.5],
            [0, FOCAL_LENGTH[1], PRINCIPAL_POINT[1] + 0.5],
            [0, 0, 1],
        ]
    )
    plans = Plans(
        index=np.zeros(1, np.int64),
        object_index=np.zeros(1, np.int32),
        rotation=frame.rotation[None],
        translation=translation[None],
        others=Instances.none(1),
        camera_matrix=camera[None],
        centre_depth=translation[2:],
        light_direction=np.array([[[0, 0, -1]]], np.float32),
        light_color=np.full((1, 1, 3), 0.6, np.float32),
        ambient_color=np.full((1, 3), 0.4, np.float32),
        surfaces=Surfaces.plain(1),
        width=640,
        height=480,
    )
    return _renderer(frame.model.name, frame.model).render(plans, surface_maps=True)


_renderers: dict[str, RasterRenderer] = {}


def _renderer(name: str, model: CadModel) -> RasterRenderer:
    if name not in _renderers:
        _renderers[name] = RasterRenderer([model])
    return _renderers[name]
