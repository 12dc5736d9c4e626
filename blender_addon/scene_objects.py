# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the scene's objects are rendered, how large they are, and what is wrong with them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from .refusal import Refusal

KINDS = ("MESH", "CURVE", "SURFACE", "META", "FONT")
"""Types of objects that can have faces."""

SMALLEST, LARGEST = 5.0, 1000.0
"""Millimetres; the units of an object beyond these are worth a question."""

_DIRECTIONS = 256
_TURN = re.compile(r"[xyz]([1-9]\d?)?")


def chosen_objects(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The objects that the settings name: the selected ones, or a collection's visible ones."""
    settings = context.scene.render_adapt
    if settings.source == "COLLECTION":
        return _visible(settings.collection, context)
    inside = context.view_layer.objects
    return _renderable(item for item in inside if item.select_get(view_layer=context.view_layer))


def chosen_distractors(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The objects that stand around those to render: a collection's visible ones, but for these."""
    rendered = {item.as_pointer() for item in chosen_objects(context)}
    visible = _visible(context.scene.render_adapt.distractors, context)
    return [item for item in visible if item.as_pointer() not in rendered]


def size_mm(item: bpy.types.Object, scene: bpy.types.Scene) -> float:
    """The largest side of the box around an object as it was last drawn."""
    return float(max(item.dimensions) * scene.unit_settings.scale_length * 1000)


def doubtful_units(size: float) -> bool:
    """Whether an object of this size probably has another unit."""
    return not SMALLEST <= size <= LARGEST


def refuse_objects(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The objects to render.

    Raises:
        Refusal: there are none, or one of them cannot be rendered as it looks.
    """
    objects = chosen_objects(context)
    if not objects:
        raise Refusal(_nothing(context))
    _refuse_each(objects, context)
    return objects


def refuse_distractors(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The objects that stand around those to render; none where no collection is chosen.

    Raises:
        Refusal: the collection has none, or one of them cannot be rendered as it looks.
    """
    collection = context.scene.render_adapt.distractors
    objects = chosen_distractors(context)
    if collection is not None and not objects:
        raise Refusal(
            f"The collection {collection.name} shows no distractors beside the objects: unhide "
            "some, or choose another"
        )
    _refuse_each(objects, context)
    # Whose size would be found missing later.
    diameter_mm(objects, context)
    return objects


def _refuse_each(objects: Sequence[bpy.types.Object], context: bpy.types.Context) -> None:
    for item in objects:
        _refuse(item, context)
        for block in _depends_on(item):
            _refuse_missing(block, item)


def diameter_mm(objects: Sequence[bpy.types.Object], context: bpy.types.Context) -> float:
    """The largest distance between two points of one object, to within 1 %; 0 without objects.

    Raises:
        Refusal: an object has no faces.
    """
    scale = float(context.scene.unit_settings.scale_length) * 1000
    depsgraph = context.evaluated_depsgraph_get()
    diameters = (_diameter(_vertices(item, depsgraph)) for item in objects)
    return max(diameters, default=0.0) * scale


def declared_symmetries(objects: Sequence[bpy.types.Object]) -> list[str]:
    """The symmetries of objects, `NAME=z6` for each turn, as jobs take them.

    Raises:
        Refusal: that of an object is none.
    """
    return [f"{item.name}={turn}" for item in objects for turn in _turns(item)]


def _turns(item: bpy.types.Object) -> list[str]:
    turns = str(item.render_adapt_symmetry).replace(",", " ").lower().split()
    for turn in turns:
        if not _TURN.fullmatch(turn):
            raise Refusal(
                f"The symmetry of {item.name} is {turn}: write z for any turn about its own z, z2 "
                "for half turns, or several as in z6 x2"
            )
    return turns


def _nothing(context: bpy.types.Context) -> str:
    settings = context.scene.render_adapt
    if settings.source == "SELECTED":
        return "Nothing to render is selected: select meshes, curves, surfaces, metaballs or text"
    if settings.collection is None:
        return "No collection is chosen: choose one, or render the selected objects"
    return (
        f"The collection {settings.collection.name} shows nothing to render: unhide its objects, "
        "or choose another"
    )


def _visible(
    collection: bpy.types.Collection | None, context: bpy.types.Context
) -> list[bpy.types.Object]:
    """What of a collection is shown and can be rendered."""
    candidates = collection.all_objects if collection else []
    # By identity: a linked object may have the name of another.
    present = {item.as_pointer() for item in context.view_layer.objects}
    return _renderable(
        item for item in candidates if item.as_pointer() in present and not _hidden(item, context)
    )


def _renderable(objects: Iterable[bpy.types.Object]) -> list[bpy.types.Object]:
    return sorted((item for item in objects if item.type in KINDS), key=lambda item: item.name)


def _hidden(item: bpy.types.Object, context: bpy.types.Context) -> bool:
    return item.hide_render or not item.visible_get(view_layer=context.view_layer)


def _refuse(item: bpy.types.Object, context: bpy.types.Context) -> None:
    if _hidden(item, context):
        raise Refusal(f"{item.name} is hidden: show it in viewport and render, or deselect it")
    if set(item.name) & set(",="):
        raise Refusal(f"{item.name} has a comma or an equals sign in its name: rename it")
    if bpy.data.objects.get(item.name) != item:
        raise Refusal(f"Two objects are called {item.name}, one of them linked: rename one")
    if min(map(abs, item.matrix_world.to_scale())) < 1e-9:
        raise Refusal(f"{item.name} has a scale of zero: give it a size, or deselect it")


def _vertices(item: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> NDArray[np.float64]:
    """(N, 3), in the scene's units, but not moved."""
    evaluated = item.evaluated_get(depsgraph)
    mesh = evaluated.to_mesh()
    try:
        if mesh is None or not mesh.polygons:
            raise Refusal(
                f"{item.name} has no faces: give it some (a curve gets them from its bevel), or "
                "deselect it"
            )
        points = np.empty(len(mesh.vertices) * 3, np.float32)
        mesh.vertices.foreach_get("co", points)
    finally:
        evaluated.to_mesh_clear()
    turned = np.array(evaluated.matrix_world, np.float64)[:3, :3]
    return points.reshape(-1, 3).astype(np.float64) @ turned.T


def _diameter(points: NDArray[np.float64]) -> float:
    """Of points, from how far they reach in many directions."""
    index = np.arange(_DIRECTIONS) + 0.5
    height, turn = index / _DIRECTIONS, index * math.pi * (1 + math.sqrt(5))
    level = np.sqrt(1 - height**2)
    directions = np.stack([level * np.cos(turn), level * np.sin(turn), height])
    return max(float(np.ptp(points @ direction)) for direction in directions.T)


def _depends_on(item: bpy.types.Object) -> Iterator[Any]:
    """The data-blocks that an object's looks are made of."""
    yield item
    if item.data is not None:
        yield item.data
    for slot in item.material_slots:
        if slot.material is not None:
            yield slot.material
            if slot.material.node_tree is not None:
                yield from _images(slot.material.node_tree, set())


def _images(tree: bpy.types.NodeTree, visited: set[str]) -> Iterator[Any]:
    if tree.name_full in visited:
        return
    visited.add(tree.name_full)
    yield tree
    for node in tree.nodes:
        if getattr(node, "image", None) is not None:
            yield node.image
        if getattr(node, "node_tree", None) is not None:
            yield from _images(node.node_tree, visited)


def _refuse_missing(block: Any, item: bpy.types.Object) -> None:
    """Refuse what a copy of the scene would not hold."""
    override = getattr(block, "override_library", None)
    library = override.reference.library if override and override.reference else block.library
    if library is not None and not getattr(block, "is_linked_packed", False):
        _refuse_missing_library(library, item)
    if isinstance(block, bpy.types.Image):
        _refuse_missing_image(block, item)


def _refuse_missing_library(library: bpy.types.Library, item: bpy.types.Object) -> None:
    file = bpy.path.abspath(library.filepath, library=library.parent)
    if library.packed_file is None and not os.path.exists(file):
        raise Refusal(
            f"{item.name} needs the library {library.filepath}, which is missing: put it back, or "
            "give its new place in the Outliner (Blender File, Relocate)"
        )


def _refuse_missing_image(image: bpy.types.Image, item: bpy.types.Object) -> None:
    if image.is_dirty:
        raise Refusal(
            f"The image {image.name} of {item.name} has changes that are not saved: save or pack "
            "it in the Image Editor"
        )
    file = bpy.path.abspath(image.filepath, library=image.library)
    if image.source == "FILE" and image.packed_file is None and not os.path.exists(file):
        raise Refusal(
            f"The image {image.filepath} of {item.name} is missing: find it with "
            "File > External Data > Find Missing Files"
        )
