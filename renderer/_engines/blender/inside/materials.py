"""What surfaces and surroundings are made of in Blender: trees of shader nodes.

Runs in Blender's own Python: imports numpy and bpy only.
"""

from __future__ import annotations

import math
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

COLOR, COORDINATES = "surface_color", "surface_coordinates"
"""Names of the meshes' vertex colours and texture coordinates."""
GAIN, SPECULAR, ROUGHNESS, PERIOD = "gain", "specular", "roughness", "texture_period"
"""Custom properties of the objects, which the materials read: so no material depends on them."""


def image_of(name: str, picture: NDArray[np.uint8], *, encoded: bool = False) -> bpy.types.Image:
    """A picture, (h, w, 3) RGB, top row first.

    Its values mean themselves, or where they are `encoded`, light as sRGB has it.
    """
    height, width = picture.shape[:2]
    image = bpy.data.images.new(name, width, height, is_data=not encoded)
    pixels = np.ones((height, width, 4), np.float32)
    pixels[..., :3] = picture[::-1].astype(np.float32) / 255
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    return image


def surface_material(
    name: str,
    own_texture: bpy.types.Image | None,
    swapped: tuple[bpy.types.Image, float] | None,
    glossy: bool,
) -> bpy.types.Material:
    """The surface of objects, by their custom properties.

    Args:
        name: the material's.
        own_texture: the model's texture, None for vertex colours.
        swapped: the picture that takes their place, if any, and its height by width.
        glossy: whether there are highlights.
    """
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = _Tree(material.node_tree)
    if swapped is not None:
        color = _swapped_in(tree, *swapped)
    elif own_texture is not None:
        place = tree.add("ShaderNodeUVMap", uv_map=COORDINATES).outputs["UV"]
        color = _picture(tree, own_texture, place)
    else:
        color = tree.add("ShaderNodeAttribute", attribute_name=COLOR).outputs["Color"]
    gain = tree.add("ShaderNodeAttribute", attribute_type="OBJECT", attribute_name=GAIN)
    color = tree.vector("MULTIPLY", color, gain.outputs["Vector"])
    surface = tree.add("ShaderNodeBsdfDiffuse")
    tree.link(color, surface.inputs["Color"])
    shader = surface.outputs["BSDF"]
    if glossy:
        added = tree.add("ShaderNodeAddShader")
        tree.link(shader, added.inputs[0])
        tree.link(_highlight(tree), added.inputs[1])
        shader = added.outputs[0]
    tree.link(shader, tree.add("ShaderNodeOutputMaterial").inputs["Surface"])
    return material


def plain_world(name: str) -> bpy.types.World:
    """Light of one colour from everywhere; `set_ambient` sets it."""
    world, tree = _world(name)
    background = tree.add("ShaderNodeBackground", name="background")
    tree.link(background.outputs[0], tree.add("ShaderNodeOutputWorld").inputs["Surface"])
    # Rays that leave the scene find this light by themselves, and without noise.
    world.cycles.sampling_method = "NONE"
    return world


def environment_world(name: str, file: str) -> bpy.types.World:
    """The light of an HDRI picture, as `set_ambient` turns and scales it.

    The picture's radiance is taken to the power of 1 / 2.2, as pictures' values are, and scaled so
    that its mean over all directions is 1.
    """
    world, tree = _world(name)
    # A map of where light is bright, made anew when the picture turns: one as fine as Blender's own
    # choice takes seconds.
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", 64
    image = bpy.data.images.load(file, check_existing=True)
    turned = tree.add("ShaderNodeMapping", name="turn")
    tree.link(tree.add("ShaderNodeTexCoord").outputs["Generated"], turned.inputs["Vector"])
    radiance = tree.add("ShaderNodeTexEnvironment", image=image)
    tree.link(turned.outputs[0], radiance.inputs["Vector"])
    tone = tree.add("ShaderNodeGamma")
    tree.link(radiance.outputs["Color"], tone.inputs["Color"])
    tone.inputs["Gamma"].default_value = 1 / 2.2
    scaled = tree.add("ShaderNodeVectorMath", operation="MULTIPLY", name="scale")
    tree.link(tone.outputs[0], scaled.inputs[0])
    background = tree.add("ShaderNodeBackground")
    tree.link(scaled.outputs[0], background.inputs["Color"])
    background.inputs["Strength"].default_value = 1 / _mean_radiance(image)
    tree.link(background.outputs[0], tree.add("ShaderNodeOutputWorld").inputs["Surface"])
    return world


def set_ambient(world: bpy.types.World, color: Any, turn: Any) -> None:
    """Set what a world of this module shines with.

    Args:
        world: it.
        color: RGB, the light that reaches a surface.
        turn: Euler angles from the scene's axes to the picture's.
    """
    nodes = world.node_tree.nodes
    if "background" in nodes:
        nodes["background"].inputs["Color"].default_value = (*map(float, color), 1.0)
    else:
        nodes["scale"].inputs[1].default_value = [float(value) for value in color]
        nodes["turn"].inputs["Rotation"].default_value = turn


def gloss(specular: float, shininess: float) -> tuple[float, float]:
    """Strength and roughness of a microfacet surface whose highlights are like Blinn's.

    Where light comes from the camera, a Beckmann distribution of slope a reflects
    exp(-tan^2 t / a^2) / (4 a^2 cos^5 t) of it at an angle t off the highlight's middle, and
    Blinn's cos^shininess t. The slope is the one with which both have half their height at the same
    angle, the strength the one with which they are as high. Blender's roughness is the square root
    of a.
    """
    slope_squared = (2 ** (2 / shininess) - 1) / (math.log(2) * (1 + 5 / shininess))
    return 4 * slope_squared * specular, slope_squared**0.25


class _Tree:
    """Short words for building node trees."""

    def __init__(self, tree: Any) -> None:
        tree.nodes.clear()
        self._tree = tree

    def add(self, kind: str, **settings: Any) -> Any:
        """A new node."""
        node = self._tree.nodes.new(kind)
        for name, value in settings.items():
            setattr(node, name, value)
        return node

    def link(self, output: Any, socket: Any) -> None:
        """Lead an output to an input."""
        self._tree.links.new(output, socket)

    def _operate(self, kind: str, operation: str, values: tuple[Any, ...]) -> Any:
        node = self.add(kind, operation=operation)
        for socket, value in zip(node.inputs, values, strict=False):
            if isinstance(value, bpy.types.NodeSocket):
                self.link(value, socket)
            else:
                socket.default_value = value
        return node.outputs[0]

    def vector(self, operation: str, *values: Any) -> Any:
        """A vector computed from others."""
        return self._operate("ShaderNodeVectorMath", operation, values)

    def number(self, operation: str, *values: Any) -> Any:
        """A number computed from others."""
        return self._operate("ShaderNodeMath", operation, values)

    def split(self, vector: Any) -> tuple[Any, Any, Any]:
        """A vector's x, y and z."""
        node = self.add("ShaderNodeSeparateXYZ")
        self.link(vector, node.inputs[0])
        x, y, z = node.outputs
        return x, y, z

    def join(self, x: Any, y: Any) -> Any:
        """A vector of two numbers."""
        node = self.add("ShaderNodeCombineXYZ")
        self.link(x, node.inputs[0])
        self.link(y, node.inputs[1])
        return node.outputs[0]

    def choose(self, condition: Any, then: Any, otherwise: Any) -> Any:
        """`then` where the condition is 1, `otherwise` where it is 0."""
        difference = self.number("SUBTRACT", then, otherwise)
        return self.number("MULTIPLY_ADD", difference, condition, otherwise)


def _picture(tree: _Tree, image: bpy.types.Image, place: Any) -> Any:
    node = tree.add("ShaderNodeTexImage", image=image, interpolation="Linear", extension="REPEAT")
    tree.link(place, node.inputs["Vector"])
    return node.outputs["Color"]


def _swapped_in(tree: _Tree, image: bpy.types.Image, aspect: float) -> Any:
    """A picture's colours, looked at along the model's axis that the surface faces most."""
    where = tree.add("ShaderNodeTexCoord")
    nx, ny, nz = tree.split(tree.vector("ABSOLUTE", where.outputs["Normal"]))
    x, y, z = tree.split(where.outputs["Object"])
    not_x = tree.number("LESS_THAN", nx, tree.number("MAXIMUM", ny, nz))
    not_y = tree.number("LESS_THAN", ny, nz)
    across = tree.choose(not_x, x, y)
    up = tree.choose(tree.number("MULTIPLY", not_x, not_y), y, z)
    period = tree.add("ShaderNodeAttribute", attribute_type="OBJECT", attribute_name=PERIOD)
    across = tree.number("DIVIDE", across, period.outputs["Fac"])
    up = tree.number("DIVIDE", up, period.outputs["Fac"])
    return _picture(tree, image, tree.join(across, tree.number("DIVIDE", up, aspect)))


def _highlight(tree: _Tree) -> Any:
    node = tree.add("ShaderNodeBsdfAnisotropic", distribution="BECKMANN")
    for socket, name in (("Color", SPECULAR), ("Roughness", ROUGHNESS)):
        value = tree.add("ShaderNodeAttribute", attribute_type="OBJECT", attribute_name=name)
        tree.link(value.outputs["Fac"], node.inputs[socket])
    return node.outputs["BSDF"]


def _world(name: str) -> tuple[bpy.types.World, _Tree]:
    world = bpy.data.worlds.new(name)
    world.use_nodes = True
    return world, _Tree(world.node_tree)


def _mean_radiance(image: bpy.types.Image) -> float:
    """Of a picture of all directions, as it is shown."""
    width, height = image.size
    pixels = np.empty(height * width * 4, np.float32)
    image.pixels.foreach_get(pixels)
    tones = np.maximum(pixels.reshape(height, width, 4)[..., :3], 0) ** (1 / 2.2)
    # Rows near the poles are of less of the sphere.
    weight = np.sin(np.pi * (np.arange(height) + 0.5) / height)
    return max(float(weight @ tones.mean(axis=(1, 2), dtype=np.float64) / weight.sum()), 1e-6)
