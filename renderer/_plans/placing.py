"""Where other objects stand: before a crop's target, beside it, or spread over a board."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel, Mesh
from renderer._crops import Instances, Plans
from renderer._plans.cutting import target_points, turn_towards
from renderer._plans.draws import MOST_OCCLUDERS, SurroundingDraws, whole_between
from renderer._plans.randomization import Randomization
from renderer._plans.rotations import rotation_about
from renderer._plans.symmetry import canonical_pose
from renderer._plans.viewpoints import uniform_rotation

CLEARANCE = 20.0
"""Millimetres that stay free between the camera and an object at its nearest."""

_GAP = 1.0
"""Millimetres that stay free between two objects."""
_FARTHEST_BESIDE = 60.0
"""Millimetres: a neighbour stands up to this much farther from the target than it must."""
_FARTHEST_BEFORE = 200.0
"""Millimetres between an occluder and the target. What is nearer to the camera than that casts a
structured-light sensor's shadow over much of the target, as clutter on a table does not."""
_TRIES = np.arange(12)
"""A place is looked for this often, each time on another side."""
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
_GOLDEN_RATIO = (np.sqrt(5) - 1) / 2
_NUMBERS_AT_ONCE = 2**24
_DIRECTIONS = 128
"""In which it is known how far a model reaches."""


@dataclass(frozen=True)
class Extents:
    """How much room models take, (M, ...) and millimetres."""

    centre: NDArray[np.float64]
    """(M, 3), of the bounding boxes, model frame."""
    half_height: NDArray[np.float64]
    """(M,), of the bounding boxes."""
    radius: NDArray[np.float64]
    """(M,), of the smallest ball about the centre that holds the model."""
    footprint: NDArray[np.float64]
    """(M,), of the smallest upright cylinder about the centre that holds it."""
    extremes: NDArray[np.float64]
    """(M, P, 3), from the centre to the vertices that lie farthest out in many directions."""


def measure_extents(models: Sequence[CadModel]) -> Extents:
    """How much room each model takes."""
    columns = zip(*(_measure(model.mesh) for model in models), strict=True)
    return Extents(*(np.array(column) for column in columns))


_measured: dict[int, tuple[Any, ...]] = {}


def _measure(mesh: Mesh) -> tuple[Any, ...]:
    """The entries of `Extents`; a mesh is measured once, since plans are made batch by batch."""
    if id(mesh) not in _measured:
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        centre = np.stack([low, high]).astype(np.float64).mean(axis=0)
        points = mesh.vertices - centre
        _measured[id(mesh)] = (
            centre,
            float(high[2] - low[2]) / 2,
            np.sqrt((points**2).sum(axis=1).max()),
            np.sqrt((points[:, :2] ** 2).sum(axis=1).max()),
            points[[np.argmax(points @ direction) for direction in _all_round()]],
        )
        weakref.finalize(mesh, _measured.pop, id(mesh)).atexit = False
    return _measured[id(mesh)]


def _all_round() -> NDArray[np.float64]:
    """(P, 3), unit, evenly over the sphere."""
    z = 1 - (2 * np.arange(_DIRECTIONS) + 1) / _DIRECTIONS
    turn = _GOLDEN_ANGLE * np.arange(_DIRECTIONS)
    across = np.sqrt(1 - z**2)
    return np.stack([across * np.cos(turn), across * np.sin(turn), z], axis=1)


def board_under(plans: Plans, models: Sequence[CadModel]) -> tuple[NDArray[np.float64], ...]:
    """The board that each target stands on: the face of its bounding box, across the model's z,
    that is turned away from the camera.

    It is the lower face for an object that is seen from above. For one with a symmetry that turns
    it upside down, whose canonical pose may have its z pointing down, it is the other one.

    Returns:
        (N, 3), unit, camera frame, upwards from the board; and (N, 3), the point of the board under
        the centre of the target's bounding box, millimetres.
    """
    half = np.array([np.ptp(model.bounds[:, 2]) / 2 for model in models])[plans.object_index]
    up = plans.rotation[:, :, 2]
    centre = target_points(plans, models, "box")
    # Whether the camera is below it: it lies at the origin.
    up = np.where((up * centre).sum(axis=1, keepdims=True) > 0, -up, up)
    return up, centre - half[:, None] * up


def place_around(
    randomization: Randomization,
    models: Sequence[CadModel],
    plans: Plans,
    surroundings: SurroundingDraws,
    middle: NDArray[np.float64] | None = None,
    *,
    repeat_objects: bool = False,
) -> tuple[Instances, NDArray[np.int64]]:
    """Occluders before each crop's target and neighbours beside it, as many as are drawn.

    An occluder is between the camera and the target, turned any way and within 200 mm of it, and
    reaches over the target's picture by a drawn share of its width; a neighbour stands on the
    target's board (`board_under`), its own z up, and if it is nearer than the target reaches over
    it by no more than the greatest share. Widths are measured along the line from the target's
    centre towards the other's, and each of the others is looked at alone. Nothing intersects
    anything: occluders are kept apart by the balls that hold them and stay above the board, what
    stands on the board is kept apart by upright cylinders. What finds no room on any of twelve
    sides is left out.

    Args:
        randomization: `occluders`, `occlusion` and `neighbours`.
        models: what the plans' `object_index` counts.
        plans: N crops.
        surroundings: their numbers of stream 3.
        middle: (N, 3), the centres of the targets' bounding boxes, camera frame; on the optical
            axis at `centre_depth` if not given.
        repeat_objects: objects may show more than once, whether or not others are left.

    Returns:
        The others (K is the greatest numbers of occluders and of neighbours together), and
        (N, 1 + K), which set of draws decides what each looks like (`draw_surfaces`).
    """
    extents = measure_extents(models)
    view = None
    if middle is not None:
        # All is placed as a camera sees it that looks straight at the target.
        view = turn_towards(middle[:, :2] / middle[:, 2:])
        back = np.swapaxes(view, 1, 2)
        plans = replace(
            plans,
            rotation=back @ plans.rotation,
            translation=(back @ plans.translation[..., None])[..., 0],
            centre_depth=np.linalg.norm(middle, axis=1),
        )
    up, foot = board_under(plans, models)
    most = randomization.occluders[1], randomization.neighbours[1]
    placed = _Placed(extents, plans, sum(most), view, repeat_objects=repeat_objects)
    count = whole_between(randomization.occluders, surroundings.occluder_count)
    for number in range(most[0]):
        draws = surroundings.occluders[:, number]
        object_index, rotation = placed.choose(draws[:, 0]), uniform_rotation(draws[:, 1:4])
        spots, good = _spots_before(
            placed, 1 + number, object_index, rotation, draws, randomization.occlusion
        )
        height = ((spots - foot[:, None]) * up[:, None]).sum(axis=2)
        good &= height >= _reach(models, object_index, rotation, -up)[:, None] + _GAP
        placed.put(1 + number, number < count, object_index, rotation, spots, good)
    board = np.stack([plans.rotation[:, :, 0], np.cross(up, plans.rotation[:, :, 0]), up], axis=2)
    nearest_edge = _GAP + extents.footprint[plans.object_index]
    count = whole_between(randomization.neighbours, surroundings.neighbour_count)
    for number in range(most[1]):
        draws = surroundings.neighbours[:, number]
        object_index = placed.choose(draws[:, 0])
        start = nearest_edge + extents.footprint[object_index] + _FARTHEST_BESIDE * draws[:, 3]
        spots = _free_spots(placed, 1 + most[0], object_index, board, foot, draws[:, 2], start)
        good = _clear_of_camera(placed, object_index, spots)
        rotation = board @ _heading(draws[:, 1])
        good &= ~_hides_target(placed, object_index, rotation, spots, randomization.occlusion)
        placed.put(1 + most[0] + number, number < count, object_index, rotation, spots, good)
    before, upright = np.arange(most[0]) + 1, np.arange(most[1]) + _FIRST_NEIGHBOUR
    roles = np.concatenate([[0], before, upright])
    return placed.others(models, roles)


def place_on_board(
    models: Sequence[CadModel],
    plans: Plans,
    board: NDArray[np.float64],
    middle: NDArray[np.float64],
    spread: NDArray[np.float64],
    places: int,
    draws: NDArray[np.float64],
    *,
    repeat_objects: bool = False,
) -> tuple[Plans, NDArray[np.int64]]:
    """Objects that stand on a board without intersecting, the target among them.

    The target is within half of `spread` of the middle. The others are drawn from the models and
    spread evenly over the disc, each moved outwards until it is free; one that would leave the
    picture, or come nearer than half of the way to the camera, on all of twelve sides is left out.

    Args:
        models: what the plans' `object_index` counts.
        plans: N frames: camera matrix, size and which the target is; its pose is written here.
        board: (N, 3, 3), columns are the board's x, y and up in the camera frame.
        middle: (N, 3), a point of the board, camera frame, millimetres.
        spread: (N,), radius of the disc about it that objects stand on, millimetres.
        places: how many objects there are, the target included.
        draws: (N, places, 4), in [0, 1): object (not for the target), heading, side, distance.
        repeat_objects: as for `place_around`.

    Returns:
        The plans with their targets' poses and others, and (N, places), as for `place_around`.
    """
    extents = measure_extents(models)
    placed = _Placed(extents, plans, places - 1, repeat_objects=repeat_objects)
    placed.object_index[:, 0] = -1
    everywhere = np.ones(len(plans), bool)
    for place in range(places):
        object_draw, heading, side, distance = draws[:, place].T
        object_index = placed.choose(object_draw) if place else plans.object_index.astype(np.int64)
        start = spread * np.sqrt(distance) * (0.5 if place == 0 else 1.0)
        spots = _free_spots(placed, 0, object_index, board, middle, side, start)
        good = _clear_of_camera(placed, object_index, spots)
        if place > 0:
            good &= _in_picture(plans, spots) & (spots[..., 2] > middle[:, None, 2] / 2)
        placed.put(place, everywhere, object_index, board @ _heading(heading), spots, good)
    roles = np.concatenate([[0], np.arange(places - 1) + _FIRST_NEIGHBOUR])
    others, roles = placed.others(models, roles)
    rotation, translation = placed.poses(models, slice(0, 1))
    centred = replace(
        plans,
        rotation=rotation[:, 0],
        translation=translation[:, 0],
        centre_depth=placed.centre[:, 0, 2].copy(),
        others=others,
    )
    return centred, roles


_FIRST_NEIGHBOUR = 1 + MOST_OCCLUDERS


class _Placed:
    """Objects that have their places: a crop's target is in place 0; others may be empty."""

    def __init__(
        self,
        extents: Extents,
        plans: Plans,
        other_count: int,
        view: NDArray[np.float64] | None = None,
        *,
        repeat_objects: bool,
    ) -> None:
        count = len(plans)
        self.extents = extents
        self.repeat_objects = repeat_objects
        self.view = view
        """(N, 3, 3), how the camera is turned against the frame in which objects are placed; not
        at all if None."""
        self.object_index = np.full((count, 1 + other_count), -1, np.int64)
        self.object_index[:, 0] = plans.object_index
        self.rotation = np.broadcast_to(np.eye(3), (count, 1 + other_count, 3, 3)).copy()
        self.rotation[:, 0] = plans.rotation
        self.centre = np.zeros((count, 1 + other_count, 3))
        """Of the bounding boxes, camera frame."""
        self.centre[:, 0, 2] = plans.centre_depth

    def choose(self, draws: NDArray[np.float64]) -> NDArray[np.int64]:
        """(N,), which object comes next, by numbers in [0, 1): one of those that a crop shows least
        often, so that none shows twice while others are left; of all if objects may repeat."""
        models = np.arange(len(self.extents.radius))
        if self.repeat_objects:
            return (draws * len(models)).astype(np.int64)
        counts = (self.object_index[:, :, None] == models).sum(axis=1)
        rare = counts == counts.min(axis=1, keepdims=True)
        number = (draws * rare.sum(axis=1)).astype(np.int64)
        return np.asarray(np.argmax(np.cumsum(rare, axis=1) > number[:, None], axis=1))

    def put(
        self,
        place: int,
        is_wanted: NDArray[np.bool_],
        object_index: NDArray[np.int64],
        rotation: NDArray[np.float64],
        spots: NDArray[np.float64],
        good: NDArray[np.bool_],
    ) -> None:
        """Put objects on the first good of their (N, T, 3) spots, where one is wanted."""
        rows = np.flatnonzero(is_wanted & good.any(axis=1))
        self.object_index[rows, place] = object_index[rows]
        self.rotation[rows, place] = rotation[rows]
        self.centre[rows, place] = spots[rows, np.argmax(good[rows], axis=1)]

    def sizes(self, of_models: NDArray[np.float64], places: slice) -> NDArray[np.float64]:
        """(N, S), each one's size; of an empty place so small that it is in nobody's way."""
        object_index = self.object_index[:, places]
        return np.where(object_index >= 0, of_models[object_index], -1e9)

    def poses(
        self, models: Sequence[CadModel], places: slice
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rotations (N, S, 3, 3) and translations (N, S, 3), canonical; of empty places the
        identity and 0."""
        object_index, rotation = self.object_index[:, places], self.rotation[:, places].copy()
        centre = self.centre[:, places]
        if self.view is not None:
            is_placed = (object_index >= 0)[..., None]
            rotation = np.where(is_placed[..., None], self.view[:, None] @ rotation, rotation)
            centre = np.where(is_placed, (self.view[:, None] @ centre[..., None])[..., 0], centre)
        translation = np.zeros(centre.shape)
        for number, model in enumerate(models):
            of_model = object_index == number
            turned = rotation[of_model]
            moved = centre[of_model] - turned @ model.centre
            rotation[of_model], translation[of_model] = canonical_pose(
                turned, moved, model.symmetries
            )
        return rotation, translation

    def others(
        self, models: Sequence[CadModel], roles: NDArray[np.int64]
    ) -> tuple[Instances, NDArray[np.int64]]:
        """All but the target, the empty places last; and (N, 1 + K), `roles` in that order."""
        rotation, translation = self.poses(models, slice(1, None))
        object_index = self.object_index[:, 1:]
        order = np.argsort(object_index < 0, axis=1, kind="stable")
        instances = Instances(
            object_index=np.take_along_axis(object_index, order, axis=1).astype(np.int32),
            rotation=np.take_along_axis(rotation, order[..., None, None], axis=1),
            translation=np.take_along_axis(translation, order[..., None], axis=1),
        )
        target = np.zeros((len(order), 1), np.int64)
        return instances, np.concatenate([target + roles[0], roles[1:][order]], axis=1)


def _spots_before(
    placed: _Placed,
    place: int,
    object_index: NDArray[np.int64],
    rotation: NDArray[np.float64],
    draws: NDArray[np.float64],
    occlusion: float,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(N, T, 3), where the picture of an occluder ends at a line that cuts a share off the
    target's; and (N, T), whether it is free there of what was placed before."""
    extents = placed.extents
    radius = extents.radius[object_index]
    depth = placed.centre[:, 0, 2]
    least = radius + CLEARANCE
    most = depth - extents.radius[placed.object_index[:, 0]] - radius - _GAP
    near = np.maximum(np.maximum(least, depth / 2), most - _FARTHEST_BEFORE)
    near = np.minimum(near, np.maximum(least, most))
    # From one try to the next both side and distance change, evenly spread.
    along = (draws[:, 6, None] + _TRIES * _GOLDEN_RATIO) % 1
    z = np.maximum(near[:, None] + (most - near)[:, None] * along, least[:, None])
    side = 2 * np.pi * draws[:, 4, None] + _TRIES * _GOLDEN_ANGLE
    towards = np.stack([np.cos(side), np.sin(side)], axis=2)
    end = _end_on_target(placed, towards, occlusion * draws[:, 5])
    points = extents.extremes[object_index] @ np.swapaxes(rotation, 1, 2)
    # Each of its points (x, y) is past the line where (middle * z + x) / (z + z') >= end.
    line = end[..., None] * (z[..., None] + points[:, None, :, 2])
    middle = (line - towards @ np.swapaxes(points[..., :2], 1, 2)).max(axis=2)
    spots = np.concatenate([middle[..., None] * towards, z[..., None]], axis=2)
    earlier = slice(1, place)
    apart = np.linalg.norm(spots[:, :, None] - placed.centre[:, None, earlier], axis=3)
    needed = placed.sizes(extents.radius, earlier) + radius[:, None] + _GAP
    good = (apart >= needed[:, None]).all(axis=2) & (least <= most)[:, None]
    # Off the optical axis what is before the target may still be beside the camera.
    good &= _clear_of_camera(placed, object_index, spots)
    return spots, np.asarray(good)


def _reach(
    models: Sequence[CadModel],
    object_index: NDArray[np.int64],
    rotation: NDArray[np.float64],
    direction: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(N,), how far objects reach from the centres of their bounding boxes in (N, 3) directions."""
    along = (np.swapaxes(rotation, 1, 2) @ direction[..., None])[..., 0]
    reach = np.zeros(len(object_index))
    for number, model in enumerate(models):
        rows = np.flatnonzero(object_index == number)
        if len(rows):
            corners = (model.hull - model.centre).T
            for chunk in np.array_split(rows, 1 + rows.size * corners.size // _NUMBERS_AT_ONCE):
                reach[chunk] = (along[chunk] @ corners).max(axis=1)
    return reach


def _hides_target(
    placed: _Placed,
    object_index: NDArray[np.int64],
    rotation: NDArray[np.float64],
    spots: NDArray[np.float64],
    occlusion: float,
) -> NDArray[np.bool_]:
    """(N, T), whether objects of which the centre is nearer than the target's reach too far over
    its picture."""
    across = np.linalg.norm(spots[..., :2], axis=2, keepdims=True)
    towards = spots[..., :2] / np.maximum(across, 1e-9)
    points = placed.extents.extremes[object_index] @ np.swapaxes(rotation, 1, 2)
    along = across + towards @ np.swapaxes(points[..., :2], 1, 2)
    z = spots[..., 2:] + points[:, None, :, 2]
    begin = (along / np.maximum(z, 1e-9)).min(axis=2)
    end = _end_on_target(placed, towards, np.full(len(object_index), occlusion))
    return np.asarray((spots[..., 2] < placed.centre[:, 0, 2, None]) & (begin < end))


def _end_on_target(
    placed: _Placed, towards: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, T), at which x/z a line across each direction cuts a share off the target's picture.

    Args:
        placed: with their targets.
        towards: (N, T, 2), unit, from the target's centre towards the part that is cut off.
        share: (N,), of the target's width in that direction.
    """
    points = placed.extents.extremes[placed.object_index[:, 0]]
    points = points @ np.swapaxes(placed.rotation[:, 0], 1, 2) + placed.centre[:, :1]
    along = towards @ np.swapaxes(points[..., :2] / points[..., 2:], 1, 2)
    least, most = along.min(axis=2), along.max(axis=2)
    return np.asarray(most - share[:, None] * (most - least))


def _clear_of_camera(
    placed: _Placed, object_index: NDArray[np.int64], spots: NDArray[np.float64]
) -> NDArray[np.bool_]:
    z = spots[..., 2] if placed.view is None else (spots @ placed.view[:, 2, :, None])[..., 0]
    return np.asarray(z >= placed.extents.radius[object_index][:, None] + CLEARANCE)


def _in_picture(plans: Plans, spots: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N, T), whether points are seen."""
    pixels = spots @ np.swapaxes(plans.camera_matrix, 1, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = np.moveaxis(pixels[..., :2] / pixels[..., 2:], 2, 0)
    return np.asarray((u >= 0) & (u < plans.width) & (v >= 0) & (v < plans.height))


def _free_spots(
    placed: _Placed,
    first_upright: int,
    object_index: NDArray[np.int64],
    board: NDArray[np.float64],
    middle: NDArray[np.float64],
    side: NDArray[np.float64],
    start: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Where objects could stand, free of all that is placed, one spot on each of twelve sides.

    On its side of `middle` an object begins at `start` and moves outwards past what is in its way:
    the cylinders of what stands on the board (place 0 and those from `first_upright` on), the balls
    of the rest.

    Returns:
        (N, T, 3), where the centres of the bounding boxes would be, camera frame.
    """
    extents, up = placed.extents, board[:, :, 2]
    angles = 2 * np.pi * side[:, None] + _TRIES * _GOLDEN_ANGLE
    flat = np.stack([np.cos(angles), np.sin(angles)], axis=2)
    direction = flat @ np.swapaxes(board[:, :, :2], 1, 2)
    base = middle + extents.half_height[object_index][:, None] * up
    offset = base[:, None] - placed.centre
    upright = np.arange(offset.shape[1]) >= max(first_upright, 1)
    upright[0] = True
    above = (offset * up[:, None]).sum(axis=2, keepdims=True) * up[:, None]
    offset = np.where(upright[:, None], offset - above, offset)
    everything = slice(None)
    reach = np.where(
        upright,
        placed.sizes(extents.footprint, everything) + extents.footprint[object_index][:, None],
        placed.sizes(extents.radius, everything) + extents.radius[object_index][:, None],
    )
    reach = np.maximum(reach + _GAP, 0.0)
    # |offset + t direction| < reach between two values of t: an interval that is not free.
    along = direction @ np.swapaxes(offset, 1, 2)
    root = (reach**2 - (offset**2).sum(axis=2))[:, None] + along**2
    blocked = (root > 0) & (reach > 0)[:, None]
    half = np.sqrt(np.maximum(root, 0.0))
    low = np.where(blocked, -along - half, np.inf)
    high = np.where(blocked, -along + half, -np.inf)
    order = np.argsort(low, axis=2)
    low, high = (np.take_along_axis(bound, order, axis=2) for bound in (low, high))
    way = np.broadcast_to(start[:, None], angles.shape).copy()
    for number in range(low.shape[2]):
        inside = (way > low[..., number]) & (way < high[..., number])
        way = np.where(inside, high[..., number], way)
    return np.asarray(base[:, None] + way[..., None] * direction)


def _heading(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3, 3), turns about a model's own z."""
    return rotation_about([0.0, 0.0, 1.0], 2 * np.pi * draws)
