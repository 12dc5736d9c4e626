"""Makes .blend files for tests, by a script that runs in a Python with Blender."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PYTHON_VARIABLE = "RENDER_ADAPT_BLENDER_PYTHON"
"""Of the environment: names a Python that has bpy."""
needs_blender = [
    pytest.mark.several_seconds,
    pytest.mark.skipif(
        not os.environ.get(PYTHON_VARIABLE),
        reason=f"{PYTHON_VARIABLE} names no Python with Blender",
    ),
]

_HEAD = """
import os, sys
import bpy
from mathutils import Matrix

bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene


def add(name, data, matrix=None):
    thing = bpy.data.objects.new(name, data)
    scene.collection.objects.link(thing)
    if matrix is not None:
        thing.matrix_world = matrix
    return thing


def mesh(name, vertices, faces):
    data = bpy.data.meshes.new(name)
    data.from_pydata(vertices, [], faces)
    return data


def box(name, low=(-1, -1, -1), high=(1, 1, 1), matrix=None):
    corners = [(x, y, z) for x in (low[0], high[0]) for y in (low[1], high[1])
               for z in (low[2], high[2])]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return add(name, mesh(name, corners, faces), matrix)


def material(name, color, node="ShaderNodeEmission"):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    tree = made.node_tree
    tree.nodes.clear()
    surface = tree.nodes.new(node)
    surface.inputs[0].default_value = (*color, 1)
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(surface.outputs[0], output.inputs["Surface"])
    return made
"""
_TAIL = """
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[1])
sys.stdout.flush()
os._exit(0)
"""


def make_blend(file: Path, script: str) -> Path:
    """Write a .blend file with what a script adds to an empty scene; `box` and others help it."""
    subprocess.run(
        [os.environ[PYTHON_VARIABLE], "-c", _HEAD + script + _TAIL, str(file)],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return file
