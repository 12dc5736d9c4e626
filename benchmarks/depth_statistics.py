"""Simulated depth beside real depth: a table of what can be counted in both, and a picture.

    python -m benchmarks.depth_statistics --data ../shared/data --picture depth.png

Real: LINEMOD's twelve frames with depth (`benchmarks.depth_frames`). Simulated: what
`renderer.simulate_structured_light_depth` makes of the same twelve scenes: the object's CAD model,
the board's plane, and elsewhere the real depth with its holes filled from their farther side. Both
are counted with the same code over the same pixels.

What the numbers leave out: the real holes of dark, shiny and thin things, which no simulation from
geometry alone has, so that more is missing off edges in reality; smooth distortions of the board
over more than 20 pixels, about 0.4 steps, and the vertical bands, both the same in every frame; the
errors of the CAD models, which are in the real noise by slope. Edges of the filled depth have
wandered once already, so that how ragged edges are is counted on straight simulated ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.depth_frames import (
    FOCAL_LENGTH,
    STEPS,
    Frame,
    Truth,
    disparity,
    read_frames,
    truth_of,
)
from renderer import simulate_structured_light_depth

LAGS = (1, 3, 9, 20)
SLOPES = ((0, 20), (20, 40), (40, 60), (60, 75))
DISTANCES = ((850, 950), (950, 1050), (1050, 1200))
JUMPS = ((2, 4), (4, 8), (8, 15), (15, 40))
WINDOW = 200.0
_FAR_APART = 60.0

Images = Sequence[NDArray[np.float32]]
Rows = dict[str, float]


def main() -> None:
    """Print the table; write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with linemod/ and lmo/")
    parser.add_argument("--picture", type=Path, help="where to write simulated beside real depth")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    frames = read_frames(arguments.data)
    truths = [truth_of(frame) for frame in frames]
    real = [frame.depth for frame in frames]
    simulated = simulate(frames, truths, arguments.seed)
    columns = [statistics(images, truths) for images in (real, simulated)]
    columns[0] |= raggedness(real)
    columns[1] |= raggedness(straight_edges(arguments.seed))
    width = max(map(len, columns[0]))
    print(f"{'':{width}}     real  simulated")
    for name, value in columns[0].items():
        print(f"{name:{width}} {value:8.4g} {columns[1][name]:10.4g}")
    if arguments.picture:
        cv2.imwrite(str(arguments.picture), picture(frames, truths, simulated))


def simulate(
    frames: Sequence[Frame], truths: Sequence[Truth], seed: int
) -> list[NDArray[np.float32]]:
    """What the simulated sensor makes of the same scenes."""
    generator = np.random.default_rng(seed)
    return [
        simulate_structured_light_depth(scene(frame, truth), FOCAL_LENGTH[0], generator)
        for frame, truth in zip(frames, truths, strict=True)
    ]


def scene(frame: Frame, truth: Truth) -> NDArray[np.float32]:
    """(H, W), exact depth where it is known, filled real depth elsewhere."""
    depth = np.where(truth.board, truth.board_depth, _filled(frame.depth))
    # What stands before the object stays there.
    hidden = (frame.depth > 0) & (frame.depth < truth.object_depth - 15)
    return np.where((truth.object_depth > 0) & ~hidden, truth.object_depth, depth)


def _filled(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Holes take the depth of the farther one of their ends in the row."""
    sides = []
    for image in (depth, depth[:, ::-1]):
        place = np.where(image > 0, np.arange(image.shape[1]), 0)
        sides.append(np.take_along_axis(image, np.maximum.accumulate(place, axis=1), axis=1))
    return np.where(depth > 0, depth, np.maximum(sides[0], sides[1][:, ::-1]))


def statistics(images: Images, truths: Sequence[Truth]) -> Rows:
    """What is counted over all frames, by name."""
    return {
        **_steps(images),
        **_board_noise(images, truths),
        **_object_noise(images, truths),
        **_missing(images, truths),
        **_gaps(images),
    }


def _steps(images: Images) -> Rows:
    """Focal length x baseline that best makes all depths whole numbers of eighths of a pixel."""
    values = np.unique(np.concatenate([image.ravel() for image in images]))
    values = values[(values > 1000) & (values < 2500)].astype(np.float64)
    candidates = np.arange(41000.0, 45000.0, 2.0)
    agreement = np.abs(np.exp(2j * np.pi * 8 * candidates[:, None] / values).mean(axis=1))
    best = int(np.argmax(agreement))
    return {
        "focal length x baseline, mm px": float(candidates[best]),
        "  how well it makes all depths steps, 0 to 1": float(agreement[best]),
    }


def _board_noise(images: Images, truths: Sequence[Truth]) -> Rows:
    """Between pixels of the bare board, the plane taken off: half the mean square difference.

    In steps of disparity; it does not feel what is smooth.
    """
    rows: Rows = {}
    residuals = [
        np.where(truth.board, disparity(image) - disparity(truth.board_depth), np.nan)
        for image, truth in zip(images, truths, strict=True)
    ]
    for axis, name in ((1, "across"), (0, "down")):
        for lag in LAGS:
            spread = np.concatenate([_differences(r, lag, axis).ravel() for r in residuals])
            rows[f"board noise {lag} px {name}, steps"] = _noise(spread)
    tail = np.concatenate([_differences(r, 9, 1).ravel() for r in residuals])
    tail = tail[np.isfinite(tail)]
    deviation = 1.4826 * np.median(np.abs(tail))
    rows["  share beyond 3 standard deviations, %"] = 100 * float(
        (np.abs(tail) > 3 * deviation).mean()
    )
    for a, b in DISTANCES:
        near = [
            _differences(np.where((t.board_depth > a) & (t.board_depth < b), r, np.nan), 9, 1)
            for r, t in zip(residuals, truths, strict=True)
        ]  # fmt: skip
        spread = np.concatenate([differences.ravel() for differences in near])
        rows[f"board noise 9 px across at {a}-{b} mm, steps"] = _noise(spread)
    return rows


def _differences(values: NDArray[np.float64], lag: int, axis: int) -> NDArray[np.float64]:
    turned = values if axis else values.T
    return turned[:, lag:] - turned[:, :-lag]


def _noise(differences: NDArray[np.float64]) -> float:
    """Standard deviation of values of which these are differences."""
    return float(np.sqrt(np.nanmean(differences**2) / 2))


def _object_noise(images: Images, truths: Sequence[Truth]) -> Rows:
    """Measured against the CAD model, where it is smooth; robust standard deviation in steps."""
    gaps, slopes, missing = [], [], []
    for image, truth in zip(images, truths, strict=True):
        exact = np.where(truth.object_depth > 0, disparity(truth.object_depth), 0.0)
        inside = cv2.erode((exact > 0).astype(np.uint8), np.ones((9, 9))) > 0
        bend = np.abs(cv2.Laplacian(exact, cv2.CV_64F))
        smooth = inside & (cv2.dilate(bend, np.ones((7, 7))) < 4)
        gap = np.where(image > 0, disparity(image) - exact, np.nan)
        # Something else may stand before the object.
        on_object = smooth & ~(np.abs(gap) > 15)
        gaps.append(gap[on_object])
        slopes.append(truth.slope[on_object])
        missing.append(image[on_object] == 0)
    gap, slope, lost = map(np.concatenate, (gaps, slopes, missing))
    rows: Rows = {}
    for least, greatest in SLOPES:
        in_range = gap[(slope >= least) & (slope < greatest) & ~lost]
        deviation = 1.4826 * np.median(np.abs(in_range - np.median(in_range)))
        rows[f"object noise at a slope of {least}-{greatest} degrees, steps"] = float(deviation)
    rows["missing on smooth parts of the object, %"] = 100 * float(lost.mean())
    return rows


def _missing(images: Images, truths: Sequence[Truth]) -> Rows:
    """Shares of pixels without measurement in the 200 mm window about the object."""
    counts = np.zeros((3, 2))
    shares = []
    for image, truth in zip(images, truths, strict=True):
        silhouette = (truth.object_depth > 0).astype(np.uint8)
        rows, columns = np.nonzero(silhouette)
        middle = np.median(truth.object_depth[silhouette > 0])
        half = WINDOW / 2 * FOCAL_LENGTH[0] / middle
        y, x = (np.arange(n)[:, None] for n in silhouette.shape)
        window = (np.abs(y - rows.mean()) < half) & (np.abs(x - columns.mean()) < half).T
        inner = cv2.erode(silhouette, np.ones((7, 7))) > 0
        outer = cv2.dilate(silhouette, np.ones((7, 7))) > 0
        for number, part in enumerate((inner, outer & ~inner, ~outer)):
            counts[number] += (image[window & part] == 0).sum(), (window & part).sum()
        shares.append(100 * float((image[window] == 0).mean()))
    names = ("inside the silhouette", "within 3 px of it", "elsewhere in the window")
    rows_by_part = {
        f"missing {name}, %": 100 * float(part[0] / part[1])
        for name, part in zip(names, counts, strict=True)
    }
    return {
        "missing in the window, median frame, %": float(np.median(shares)),
        "missing in the window, worst frame, %": max(shares),
        **rows_by_part,
    }


def _gaps(images: Images) -> Rows:
    """At jumps of depth along rows: how often there is a gap, and how wide it is."""
    gap, jump = [], []
    for image in images:
        for row in image[20:460, 15:625]:
            measured = np.flatnonzero(row > 0)
            ends = STEPS / 8 / row[measured].astype(np.float64)
            gap.append(np.diff(measured) - 1)
            jump.append(np.diff(ends))
    gaps, jumps = np.concatenate(gap), np.concatenate(jump)
    rows: Rows = {}
    for side, sign in (("shadow side", 1), ("other side", -1)):
        for least, greatest in JUMPS:
            in_range = gaps[(sign * jumps > least) & (sign * jumps <= greatest)]
            name = f"{side}, jumps of {least}-{greatest} px of disparity"
            rows[f"{name}: with a gap, %"] = 100 * float((in_range > 0).mean())
            wide = in_range[in_range > 0]
            rows[f"{name}: its median width, px"] = float(np.median(wide)) if len(wide) else 0.0
    return rows


def raggedness(images: Images) -> Rows:
    """How far long straight depth edges are from straight lines over 31 pixels, in pixels.

    Of all edges the straighter half, by its median: the others are not straight in reality.
    """
    rows: Rows = {}
    for name, turn in (("level", False), ("upright", True)):
        tracks = [_tracks(image.T if turn else image) for image in images]
        spread = np.sort(np.concatenate(tracks))
        rows[f"raggedness of {name} depth edges, px"] = float(np.median(spread[: len(spread) // 2]))
    return rows


def _tracks(depth: NDArray[np.float32], length: int = 31) -> NDArray[np.float64]:
    """Residuals of straight lines fitted to edges that can be followed from column to column."""
    filled = _filled(depth.T).T
    jump = np.abs(np.diff(filled, axis=0)) > _FAR_APART
    residuals = []
    for start in range(10, depth.shape[1] - length - 10, 10):
        for row in np.flatnonzero(jump[:, start]):
            track = _follow(jump[:, start : start + length], int(row))
            if track is None:
                continue
            places = np.arange(length)
            slope, offset = np.polyfit(places, track, 1)
            if abs(slope) < 0.5:
                residuals.append(float(np.std(track - slope * places - offset)))
    return np.array(residuals)


def _follow(jump: NDArray[np.bool_], row: int) -> NDArray[np.int64] | None:
    track = [row]
    for column in jump.T[1:]:
        rows = np.flatnonzero(column)
        if not len(rows) or np.abs(rows - track[-1]).min() > 4:
            return None
        track.append(int(rows[np.argmin(np.abs(rows - track[-1]))]))
    return np.array(track)


def straight_edges(seed: int) -> list[NDArray[np.float32]]:
    """Simulated depth of straight edges, level and upright, in several directions."""
    generator = np.random.default_rng(seed)
    y, x = np.indices((480, 640))
    images = []
    for slant in (0.0, 0.1, 0.25, -0.2):
        for nearer in (y + slant * x > 240, x + slant * y > 320):
            exact = np.where(nearer, 900, 1100).astype(np.float32)
            images.append(simulate_structured_light_depth(exact, FOCAL_LENGTH[0], generator))
    return images


def picture(
    frames: Sequence[Frame], truths: Sequence[Truth], simulated: Images
) -> NDArray[np.uint8]:
    """A row for each of four frames about its object: colour, real depth, simulated depth, and what
    each of the two differs from the truth by, -6 to 6 steps. BGR."""
    rows = []
    for number in (0, 5, 10, 11):
        frame, truth = frames[number], truths[number]
        rows_, columns = np.nonzero(truth.object_depth)
        top, left = int(rows_.mean()) - 110, int(columns.mean()) - 110
        window = slice(max(top, 0), max(top, 0) + 220), slice(left, left + 220)
        exact = np.where(truth.object_depth > 0, truth.object_depth, 0)
        exact = np.where(truth.board, truth.board_depth, exact)
        middle = float(np.median(truth.object_depth[truth.object_depth > 0]))
        tiles = [frame.rgb[window][..., ::-1]]
        tiles += [_depth_colors(d[window], middle) for d in (frame.depth, simulated[number])]
        tiles += [_error_colors(d[window], exact[window]) for d in (frame.depth, simulated[number])]
        rows.append(np.hstack(tiles))
    return np.ascontiguousarray(np.vstack(rows), np.uint8)


def _depth_colors(depth: NDArray[np.float32], middle: float) -> NDArray[np.uint8]:
    share = np.clip((depth - middle) / 600 + 0.5, 0, 1)
    colors = cv2.applyColorMap(np.rint(255 * share).astype(np.uint8), cv2.COLORMAP_TURBO)
    colors[depth == 0] = 0
    return np.asarray(colors, np.uint8)


def _error_colors(depth: NDArray[np.float32], exact: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Grey where the truth is not known."""
    gap = disparity(depth) - disparity(exact)
    share = np.nan_to_num(np.clip(gap / 12 + 0.5, 0, 1))
    colors = cv2.applyColorMap(np.rint(255 * share).astype(np.uint8), cv2.COLORMAP_TURBO)
    colors[exact == 0] = 110
    colors[depth == 0] = 0
    return np.asarray(colors, np.uint8)


if __name__ == "__main__":
    main()
