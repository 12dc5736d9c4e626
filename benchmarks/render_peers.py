"""Other ways to render crops, each as its users call it, for `benchmarks.rendering`.

Each peer is made from a mesh and renders crops of planned poses: colour (but for embree) and depth,
64x64 or another size, to numpy arrays in this process. All see the same triangles.
"""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from renderer import Plans

# Without a display, EGL is what all of them can use.
os.environ.setdefault("PYOPENGL_PLATFORM", "egl")

_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
"""From OpenCV's camera axes to OpenGL's."""


class Peer(Protocol):
    """A renderer under the clock."""

    def render(self, plans: Plans) -> NDArray[Any]:
        """Render all crops; (N, H, W) depth in millimetres, 0 = nothing there."""


class Raster:
    """Ours, with the labels' counts and boxes."""

    def __init__(
        self, model: CadModel, size: int, *, threads: int = 1, levels: bool = True
    ) -> None:
        from renderer import RasterRenderer

        self._models = [model]
        self._renderer = RasterRenderer(self._models, threads=threads, levels=levels)

    def render(self, plans: Plans) -> NDArray[Any]:
        from render_adapt._formats.labels import label_crops

        depth = []
        for first in range(0, len(plans), 64):
            crops = self._renderer.render(plans[first : first + 64])
            label_crops(crops, self._renderer, self._models)
            depth.append(crops.depth)
        return np.concatenate(depth)


class Pyrender:
    """`pyrender.OffscreenRenderer.render` in a loop, as its examples have it."""

    def __init__(self, model: CadModel, size: int, *, multisampling: bool = True) -> None:
        import pyrender
        import trimesh

        if not multisampling:
            _turn_multisampling_off()
        mesh = model.mesh
        self._scene = pyrender.Scene(ambient_light=[0.4, 0.4, 0.4])
        self._object = self._scene.add(
            pyrender.Mesh.from_trimesh(
                trimesh.Trimesh(
                    mesh.vertices, mesh.faces, vertex_normals=mesh.normals,
                    vertex_colors=mesh.colors, process=False,
                ),
                smooth=True,
            )
        )  # fmt: skip
        self._camera = pyrender.IntrinsicsCamera(1.0, 1.0, 0.0, 0.0, znear=10.0, zfar=1e4)
        self._scene.add(self._camera, pose=_FLIP)
        self._scene.add(pyrender.DirectionalLight(color=np.ones(3), intensity=3.0), pose=_FLIP)
        self._renderer = pyrender.OffscreenRenderer(size, size)

    def render(self, plans: Plans) -> NDArray[Any]:
        depth = np.empty((len(plans), plans.height, plans.width), np.float32)
        for row in range(len(plans)):
            _, depth[row] = self.picture(plans, row)
        return depth

    def picture(self, plans: Plans, row: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """(H, W, 3) colours and (H, W) depth in millimetres of one crop."""
        self._scene.set_pose(self._object, pose(plans, row))
        k = plans.camera_matrix[row]
        self._camera.fx, self._camera.fy = k[0, 0], k[1, 1]
        self._camera.cx, self._camera.cy = k[0, 2], k[1, 2]
        colors, depth = self._renderer.render(self._scene)
        return colors, depth


def _turn_multisampling_off() -> None:
    """pyrender always asks for four samples a pixel: its greatest cost on a processor."""
    from pyrender import renderer as module

    with_samples = module.glRenderbufferStorageMultisample
    module.glRenderbufferStorageMultisample = lambda target, samples, *rest: with_samples(
        target, 0, *rest
    )


class ModernglAtlas:
    """An OpenGL program of a few lines: 16 x 16 crops into one framebuffer, read back at once."""

    TILES = 16

    def __init__(self, model: CadModel, size: int) -> None:
        import moderngl

        self._context = context = moderngl.create_context(standalone=True, backend="egl")
        mesh = model.mesh
        program = context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        vertices = np.hstack(
            [mesh.vertices, mesh.normals, mesh.colors.astype(np.float32) / 255]
        ).astype(np.float32)
        self._array = context.vertex_array(
            program,
            [(context.buffer(vertices.tobytes()), "3f 3f 3f", "position", "normal", "color")],
            context.buffer(mesh.faces.astype(np.int32).tobytes()),
        )
        self._program, self._size = program, size
        side = self.TILES * size
        self._color = context.texture((side, side), 4)
        self._depth = context.depth_texture((side, side))
        self._target = context.framebuffer([self._color], self._depth)
        context.enable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        # Images have their first row on top, OpenGL at the bottom: upside down, faces turn round.
        context.front_face = "cw"

    def render(self, plans: Plans) -> NDArray[Any]:
        parts = [
            self._tiles(plans[first : first + self.TILES**2])
            for first in range(0, len(plans), self.TILES**2)
        ]
        return np.concatenate(parts)

    def _tiles(self, plans: Plans) -> NDArray[Any]:
        size, tiles, near, far = self._size, self.TILES, 10.0, 1e4
        self._target.use()
        self._context.viewport = (0, 0, tiles * size, tiles * size)
        self._target.clear(depth=1.0)
        for row in range(len(plans)):
            self._context.viewport = (row % tiles * size, row // tiles * size, size, size)
            matrix = projection(plans.camera_matrix[row], size, near, far) @ pose(plans, row)
            self._program["matrix"].write(matrix.T.astype("f4").tobytes())
            light = plans.rotation[row].T @ plans.light_direction[row, 0]
            self._program["light"].value = tuple(light)
            self._array.render()
        self._target.read(components=3)
        raw = np.frombuffer(self._depth.read(), np.float32)
        raw = raw.reshape(tiles, size, tiles, size).swapaxes(1, 2).reshape(-1, size, size)
        z = near * far / (far - raw[: len(plans)] * (far - near))
        return np.where(raw[: len(plans)] < 1.0, z, 0.0)


class Embree:
    """Rays through pixel centres; depth alone, no shading."""

    def __init__(self, model: CadModel, size: int) -> None:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self._scene = EmbreeScene()
        mesh = model.mesh
        TriangleMesh(self._scene, mesh.vertices[mesh.faces].astype(np.float32))
        across, down = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
        self._pixels = np.stack([across, down, np.ones_like(across)], axis=-1).reshape(-1, 3)

    def render(self, plans: Plans) -> NDArray[Any]:
        depth = np.empty((len(plans), plans.height, plans.width), np.float32)
        for row in range(len(plans)):
            rotation = plans.rotation[row]
            rays = self._pixels @ np.linalg.inv(plans.camera_matrix[row]).T @ rotation
            origin = np.broadcast_to(-rotation.T @ plans.translation[row], rays.shape)
            hits = self._scene.run(
                np.ascontiguousarray(origin, np.float32), rays.astype(np.float32), query="DISTANCE"
            )
            # A ray's z component is 1, so that its parameter is z.
            z = np.where(hits < 1e30, hits, 0.0)
            depth[row] = z.reshape(depth.shape[1:])
        return depth


class Blender:
    """Cycles through bpy, by our own engine: a scene that is kept, its poses changed."""

    def __init__(self, model: CadModel, size: int) -> None:
        from renderer import make_renderer

        self._renderer = make_renderer("blender", [model])

    def render(self, plans: Plans) -> NDArray[Any]:
        return self._renderer.render(plans).depth


def pose(plans: Plans, row: int) -> NDArray[np.float64]:
    """(4, 4), model to OpenCV camera."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = plans.rotation[row], plans.translation[row]
    return matrix


def projection(k: NDArray[np.float64], size: int, near: float, far: float) -> NDArray[np.float64]:
    """(4, 4), OpenCV camera to clip space, with the image's first row at the bottom."""
    return np.array(
        [
            [2 * k[0, 0] / size, 2 * k[0, 1] / size, 2 * k[0, 2] / size - 1, 0],
            [0, 2 * k[1, 1] / size, 2 * k[1, 2] / size - 1, 0],
            [0, 0, (far + near) / (far - near), -2 * far * near / (far - near)],
            [0, 0, 1, 0],
        ]
    )


_VERTEX = """
#version 330
uniform mat4 matrix;
in vec3 position; in vec3 normal; in vec3 color;
out vec3 surface_normal; out vec3 surface_color;
void main() {
    gl_Position = matrix * vec4(position, 1.0);
    surface_normal = normal; surface_color = color;
}
"""
_FRAGMENT = """
#version 330
uniform vec3 light;
in vec3 surface_normal; in vec3 surface_color;
out vec4 result;
void main() {
    float cosine = max(0.0, dot(normalize(surface_normal), light));
    result = vec4(surface_color * (0.4 + 0.6 * cosine), 1.0);
}
"""
