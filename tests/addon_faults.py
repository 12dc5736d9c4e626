"""Scenes and settings that the Blender extension cannot use, each of which it is to explain.

A fault spoils the scene of `addon_in_blender.begin`, and may say which operator is to complain.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy


def settings() -> Any:
    return bpy.context.scene.render_adapt


def nothing_selected(folder: Path) -> None:
    bpy.ops.object.select_all(action="DESELECT")


def only_a_light_selected(folder: Path) -> None:
    bpy.ops.object.select_all(action="DESELECT")
    bpy.ops.object.light_add()


def no_faces(folder: Path) -> None:
    bpy.ops.curve.primitive_bezier_circle_add(radius=0.05)


def zero_scale(folder: Path) -> None:
    bpy.context.object.scale.z = 0.0
    bpy.context.view_layer.update()


def hidden_in_renders(folder: Path) -> None:
    bpy.context.object.hide_render = True


def hidden_collection(folder: Path) -> None:
    parts = bpy.data.collections.new("Parts")
    bpy.context.scene.collection.children.link(parts)
    parts.objects.link(bpy.context.object)
    bpy.context.object.hide_set(True)
    settings().source, settings().collection = "COLLECTION", parts


def no_collection(folder: Path) -> None:
    settings().source = "COLLECTION"


def no_distractors(folder: Path) -> None:
    parts = bpy.data.collections.new("Parts")
    bpy.context.scene.collection.children.link(parts)
    parts.objects.link(bpy.context.object)
    settings().distractors = parts


def missing_library(folder: Path) -> None:
    library = folder / "library.blend"
    bpy.context.object.name = "Lent"
    bpy.data.libraries.write(str(library), {bpy.context.object})
    bpy.data.objects.remove(bpy.context.object)
    with bpy.data.libraries.load(str(library), link=True) as (_, wanted):
        wanted.objects = ["Lent"]
    bpy.context.scene.collection.objects.link(wanted.objects[0])
    wanted.objects[0].select_set(True)
    library.unlink()


def _picture_material() -> bpy.types.Node:
    material = bpy.data.materials.new("Painted")
    material.use_nodes = True
    node = material.node_tree.nodes.new("ShaderNodeTexImage")
    principled = material.node_tree.nodes["Principled BSDF"]
    material.node_tree.links.new(node.outputs["Color"], principled.inputs["Base Color"])
    bpy.context.object.data.materials.append(material)
    return node


def unsaved_picture(folder: Path) -> None:
    node = _picture_material()
    node.image = bpy.data.images.new("Paint", 8, 8)
    node.image.pixels[0] = 0.5


def missing_picture(folder: Path) -> None:
    node = _picture_material()
    picture = bpy.data.images.new("Paint", 8, 8)
    picture.filepath_raw = str(folder / "paint.png")
    picture.file_format = "PNG"
    picture.save()
    node.image = bpy.data.images.load(str(folder / "paint.png"))
    (folder / "paint.png").unlink()


def symmetry_is_none(folder: Path) -> None:
    bpy.context.object.render_adapt_symmetry = "z2 upright"


def comma_in_a_name(folder: Path) -> None:
    bpy.context.object.name = "Box, round"


def same_name(folder: Path) -> None:
    library = folder / "library.blend"
    cube = bpy.context.object
    bpy.data.libraries.write(str(library), {cube})
    with bpy.data.libraries.load(str(library), link=True) as (_, wanted):
        wanted.objects = [cube.name]
    bpy.context.scene.collection.objects.link(wanted.objects[0])
    wanted.objects[0].select_set(True)


def no_output(folder: Path) -> None:
    settings().out = ""


def output_beside_unsaved_file(folder: Path) -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.mesh.primitive_cube_add(size=0.1)


def output_cannot_be_made(folder: Path) -> None:
    settings().out = "/proc/dataset"


def output_is_a_file(folder: Path) -> None:
    settings().out = str(folder / "scene.blend" / "dataset")


def no_adapter_chosen(folder: Path) -> None:
    settings().adapter = "FOLDER"


def adapter_is_none(folder: Path) -> Any:
    settings().adapter, settings().adapter_folder = "FOLDER", str(folder)
    return bpy.ops.render_adapt.preview


def distances_exchanged(folder: Path) -> None:
    settings().auto_framing = False
    settings().near, settings().far = 900, 800


def no_dataset_to_report(folder: Path) -> Any:
    return bpy.ops.render_adapt.open_report


def no_dataset_to_open(folder: Path) -> Any:
    return bpy.ops.render_adapt.open_dataset


def _python(path: str) -> None:
    name = "bl_ext.user_default.render_adapt"
    bpy.context.preferences.addons[name].preferences.python = path


def learning_without_python(folder: Path) -> Any:
    _python("")
    return bpy.ops.render_adapt.learn


def python_is_not_there(folder: Path) -> Any:
    _python("/nowhere/python")
    return _once(bpy.ops.render_adapt.check_python)


def python_without_packages(folder: Path) -> Any:
    python = folder / "bare_python"
    if not python.exists():
        import sys

        python.write_text(f'#!/bin/sh\ncd /\nexec {sys.executable} -I -S "$@"\n')
        python.chmod(0o755)
    _python(str(python))
    return _once(bpy.ops.render_adapt.check_python)


def nothing_to_learn_from(folder: Path) -> Any:
    _python("/bin/true")
    return _once(bpy.ops.render_adapt.learn)


def _once(operator: Callable[[], set[str]]) -> Callable[[], set[str]]:
    """The operator, and then the preferences as they were."""

    def run() -> set[str]:
        try:
            return operator()
        finally:
            _python("")

    return run


FAULTS: dict[str, Callable[[Path], Any]] = {
    fault.__name__.replace("_", " "): fault
    for fault in (
        nothing_selected, only_a_light_selected, no_faces, zero_scale, hidden_in_renders,
        hidden_collection, no_collection, no_distractors, missing_library, unsaved_picture,
        missing_picture, same_name, symmetry_is_none, comma_in_a_name, no_output,
        output_beside_unsaved_file, output_cannot_be_made, output_is_a_file, no_adapter_chosen,
        adapter_is_none, distances_exchanged, no_dataset_to_report, no_dataset_to_open,
        learning_without_python, python_is_not_there, python_without_packages,
        nothing_to_learn_from,
    )
}  # fmt: skip
