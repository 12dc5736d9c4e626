"""pyrender with framebuffers and shaders of our own. Only `_pyrender` imports this module."""

# mypy: disable-error-code="misc, no-any-return, no-untyped-call"

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyrender
from numpy.typing import NDArray
from OpenGL import GL
from pyrender.platforms.base import Platform
from pyrender.shader_program import ShaderProgramCache

from cad_models import Mesh
from renderer._crops import RenderError
from renderer._engines.opengl.platforms import make_platform
from renderer._engines.scenes import Picture, Scene
from renderer._pictures.pyramids import Pictures

_SHADERS = Path(__file__).parent / "shaders"
_MOST_LIGHTS = 16
"""As in the shader."""
_MOST_INSTANCES = 255
"""Which instance a pixel shows is its colour's fourth byte."""
_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
"""From OpenGL's camera axes to OpenCV's."""


class Context:
    """An OpenGL context that holds all models and pictures.

    Args:
        meshes: each model's mesh, and its faces, wound as its normals point.
        pictures: what may be swapped in.

    Raises:
        RenderError: OpenGL cannot be used here.
    """

    def __init__(
        self,
        meshes: Sequence[tuple[Mesh, NDArray[np.int32]]],
        pictures: Pictures,
    ) -> None:
        self._platform = make_platform()
        self._platform.make_current()
        self._meshes = [_mesh(mesh, faces) for mesh, faces in meshes]
        self._pool: list[list[pyrender.Node]] = [[] for _ in meshes]
        self._scene = pyrender.Scene(bg_color=np.zeros(4))
        self._camera = _ExactCamera()
        self._scene.add(self._camera, pose=_FLIP)
        self.description = f"OpenGL on {GL.glGetString(GL.GL_RENDERER).decode()}"
        self._renderer = _SceneRenderer(pictures)
        self.delete = weakref.finalize(self, _delete, self._platform, self._renderer)
        # The driver frees everything when the process ends, and may be gone before Python is.
        self.delete.atexit = False

    def draw(self, scene: Scene) -> Picture:
        """Draw all instances of a scene."""
        self._render(scene)
        return self._renderer.read_picture(scene)

    def draw_depth(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W), z in millimetres, 0 where there is no surface."""
        self._render(scene)
        return self._renderer.read_depth(scene)

    def _render(self, scene: Scene) -> None:
        if len(scene.light_color) > _MOST_LIGHTS or len(scene.object_index) > _MOST_INSTANCES:
            raise RenderError(
                f"crop {scene.index} has {len(scene.light_color)} lights and "
                f"{len(scene.object_index)} objects: the pyrender renderer takes {_MOST_LIGHTS} "
                f"and {_MOST_INSTANCES} at most"
            )
        self._platform.make_current()
        self._renderer.current = scene
        self._renderer.nodes = self._nodes(scene)
        self._camera.frame(scene)
        self._renderer.viewport_width, self._renderer.viewport_height = scene.size
        flags = pyrender.RenderFlags.OFFSCREEN | pyrender.RenderFlags.SKIP_CULL_FACES
        self._renderer.render(self._scene, flags)

    def _nodes(self, scene: Scene) -> list[pyrender.Node]:
        """A node for each instance, at its pose; kept, as the driver's copies of meshes are."""
        used = [0] * len(self._pool)
        nodes = []
        for model, rotation, translation in zip(
            scene.object_index, scene.rotation, scene.translation, strict=True
        ):
            if used[model] == len(self._pool[model]):
                node = pyrender.Node(mesh=self._meshes[model])
                self._scene.add_node(node)
                self._pool[model].append(node)
            nodes.append(self._pool[model][used[model]])
            used[model] += 1
            pose = np.eye(4)
            pose[:3, :3], pose[:3, 3] = rotation, translation
            self._scene.set_pose(nodes[-1], pose)
        return nodes


def _delete(platform: Platform, renderer: _SceneRenderer) -> None:
    """Free what a context holds, and the context."""
    platform.make_current()
    renderer.delete()
    platform.delete_context()


class _SceneRenderer(pyrender.Renderer):
    """pyrender's renderer, drawing some of the scene's nodes in our light, not multisampled."""

    def __init__(self, pictures: Pictures) -> None:
        super().__init__(1, 1)
        self._program_cache = ShaderProgramCache(str(_SHADERS))
        self._aspects = pictures.aspects
        self._swapped = [_texture(picture) for picture in pictures.levels]
        for texture in self._swapped:
            texture._add_to_context()
        self.current: Scene
        self.nodes: list[pyrender.Node] = []
        self._framebuffer: tuple[int, NDArray[np.uint32]] | None = None

    def delete(self) -> None:
        """Free what the driver holds in the current context."""
        for texture in self._swapped:
            texture.delete()
        self._swapped = []
        super().delete()

    def __del__(self) -> None:
        """Nothing: another renderer's context may be the current one."""

    def read_depth(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W), z in millimetres, 0 where there is no surface."""
        stored = self._read(GL.GL_DEPTH_COMPONENT, np.float32, 1)[..., 0].astype(np.float64)
        near, far = _planes(scene)
        depth = near * far / (far - stored * (far - near))
        return np.where(stored < 1.0, depth, 0.0).astype(np.float32)

    def read_picture(self, scene: Scene) -> Picture:
        """What was drawn last."""
        color = self._read(GL.GL_RGBA, np.uint8, 4)
        maps: dict[str, Any] = {}
        if scene.maps:
            maps["positions"] = self._read(GL.GL_RGBA, np.float32, 4, 1)[..., :3]
            maps["normals"] = self._read(GL.GL_RGBA, np.float32, 4, 2)[..., :3]
        return Picture(
            rgb=color[..., :3],
            depth=self.read_depth(scene),
            instance=color[..., 3].astype(np.int16) - 1,
            **maps,
        )

    def _read(self, channels: int, kind: Any, count: int, attachment: int = 0) -> NDArray[Any]:
        width, height = self._main_fb_dims
        image = np.empty((height, width, count), kind)
        GL.glReadBuffer(GL.GL_COLOR_ATTACHMENT0 + attachment)
        component = GL.GL_UNSIGNED_BYTE if kind is np.uint8 else GL.GL_FLOAT
        GL.glPixelStorei(GL.GL_PACK_ALIGNMENT, 1)
        GL.glReadPixels(0, 0, width, height, channels, component, image)
        return image[::-1]

    def _sorted_mesh_nodes(self, scene: pyrender.Scene) -> list[pyrender.Node]:
        return self.nodes

    def _bind_lighting(self, scene: Any, program: Any, node: pyrender.Node, flags: int) -> None:
        plan, instance = self.current, self.nodes.index(node)
        program.set_uniform("light_count", len(plan.light_color))
        for light, color in enumerate(plan.light_color):
            program.set_uniform(f"light_direction[{light}]", plan.light_direction[light])
            program.set_uniform(f"light_color[{light}]", color)
        program.set_uniform("ambient_color", plan.ambient_color)
        program.set_uniform("gain", plan.gain[instance])
        for name in ("specular", "shininess", "texture_period"):
            program.set_uniform(name, float(getattr(plan, name)[instance]))
        program.set_uniform("instance", float(instance))
        number = int(plan.texture[instance])
        program.set_uniform("is_swapped", int(number >= 0))
        if number >= 0:
            program.set_uniform("swapped_aspect", 1 / self._aspects[number])
            self._bind_texture(self._swapped[number], "swapped_picture", program)

    def _configure_main_framebuffer(self) -> None:
        size = (self.viewport_width, self.viewport_height)
        if self._main_fb_dims == size:
            GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, self._main_fb)
        else:
            self._delete_main_framebuffer()
            self._make_framebuffer(size)
        # pyrender binds what it calls its multisampled buffer, before it clears and draws.
        self._main_fb_ms = self._main_fb

    def _make_framebuffer(self, size: tuple[int, int]) -> None:
        attachments = {
            GL.GL_COLOR_ATTACHMENT0: GL.GL_RGBA8,
            GL.GL_COLOR_ATTACHMENT1: GL.GL_RGBA32F,
            GL.GL_COLOR_ATTACHMENT2: GL.GL_RGBA32F,
            GL.GL_DEPTH_ATTACHMENT: GL.GL_DEPTH_COMPONENT32F,
        }
        self._main_fb = GL.glGenFramebuffers(1)
        self._main_cb = GL.glGenRenderbuffers(len(attachments))
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, self._main_fb)
        for buffer, (attachment, kind) in zip(self._main_cb, attachments.items(), strict=True):
            GL.glBindRenderbuffer(GL.GL_RENDERBUFFER, buffer)
            GL.glRenderbufferStorage(GL.GL_RENDERBUFFER, kind, *size)
            GL.glFramebufferRenderbuffer(GL.GL_FRAMEBUFFER, attachment, GL.GL_RENDERBUFFER, buffer)
        GL.glDrawBuffers(3, [GL.GL_COLOR_ATTACHMENT0 + number for number in range(3)])
        if GL.glCheckFramebufferStatus(GL.GL_FRAMEBUFFER) != GL.GL_FRAMEBUFFER_COMPLETE:
            raise RenderError(
                f"OpenGL cannot draw {size[0]} x {size[1]} pixels here: give a smaller `size`"
            )
        self._main_fb_dims = size

    def _delete_main_framebuffer(self) -> None:
        if self._main_fb is not None:
            GL.glDeleteFramebuffers(1, [self._main_fb])
            GL.glDeleteRenderbuffers(len(self._main_cb), self._main_cb)
        self._main_fb = self._main_fb_ms = self._main_cb = None
        self._main_fb_dims = (0, 0)

    def _read_main_framebuffer(self, scene: pyrender.Scene, flags: int) -> None:
        GL.glBindFramebuffer(GL.GL_READ_FRAMEBUFFER, self._main_fb)


class _ExactCamera(pyrender.Camera):
    """A camera with any K, and planes that hold what is before it."""

    def frame(self, scene: Scene) -> None:
        """Look at a scene."""
        self._matrix, (self.znear, self.zfar) = scene.camera_matrix, _planes(scene)

    def get_projection_matrix(self, width: int, height: int) -> NDArray[np.float64]:
        """(4, 4), from OpenGL's camera axes; K is measured from the image's corner."""
        k, near, far = self._matrix, self.znear, self.zfar
        return np.array(
            [
                [2 * k[0, 0] / width, -2 * k[0, 1] / width, 1 - 2 * k[0, 2] / width, 0],
                [0, 2 * k[1, 1] / height, 2 * k[1, 2] / height - 1, 0],
                [0, 0, (far + near) / (near - far), 2 * far * near / (near - far)],
                [0, 0, -1, 0],
            ]
        )


def _planes(scene: Scene) -> tuple[float, float]:
    """Near and far plane: a little before the nearest and behind the farthest vertex."""
    nearest, farthest = scene.depth_range
    return 0.99 * nearest, 1.01 * farthest


def _mesh(mesh: Mesh, faces: NDArray[np.int32]) -> pyrender.Mesh:
    material = pyrender.MetallicRoughnessMaterial(doubleSided=True)
    coordinates = None
    if mesh.texture is not None and mesh.texture_coordinates is not None:
        material.baseColorTexture = _texture(mesh.texture)
        coordinates = mesh.texture_coordinates
    colors = np.concatenate(
        [mesh.colors.astype(np.float32) / 255, np.ones((len(mesh.colors), 1), np.float32)], axis=1
    )
    return pyrender.Mesh(
        [
            pyrender.Primitive(
                positions=mesh.vertices,
                normals=mesh.normals,
                texcoord_0=coordinates,
                color_0=colors,
                indices=faces,
                material=material,
                mode=pyrender.GLTF.TRIANGLES,
            )
        ]
    )


def _texture(picture: NDArray[np.uint8]) -> pyrender.Texture:
    # OpenGL reads rows in fours of bytes: with a fourth channel every width fits.
    opaque = np.full((*picture.shape[:2], 1), 255, np.uint8)
    bilinear = pyrender.Sampler(magFilter=pyrender.GLTF.LINEAR, minFilter=pyrender.GLTF.LINEAR)
    return pyrender.Texture(
        source=np.concatenate([picture, opaque], axis=2), source_channels="RGBA", sampler=bilinear
    )
