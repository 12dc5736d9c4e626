"""Crops as scenes in Blender: objects, camera, lights, and what Cycles makes of them.

Runs in Blender's own Python: imports numpy and bpy only.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector
from numpy.typing import NDArray

from renderer._crops import RenderError
from renderer._engines.blender.inside import materials
from renderer._engines.blender.inside.objects import (
    BlendObject,
    evaluate_objects,
    millimetres_per_unit,
    open_blend,
    to_srgb,
)
from renderer._engines.blender.inside.passes import PassReader
from renderer._engines.blender.inside.scene_light import SceneLight, camera_place, seen_from

VERSION = ".".join(map(str, bpy.app.version))
"""Of the Blender that runs this."""

_OLDEST = (4, 2, 0)

_BOUNCES, _OWN_BOUNCES = 2, 4
"""Of light, with our surfaces and with those of a .blend file, which may be of glass."""
_LEAST_SIZE = 4
"""Pixels: Blender renders nothing narrower or lower."""
_NOTHING = 1e9
"""Cycles gives more than this as the depth of the background."""
_FLIP = np.array([1.0, -1.0, -1.0])
"""From OpenCV's camera axes to Blender's, which are the scene's: its camera is at the origin."""
_SENSOR = 36.0
"""Millimetres; lens and sensor only matter by their ratio."""


class BlenderScene:
    """A scene of its own beside whatever is open, kept from crop to crop.

    Args:
        meshes: each model's `vertices` (V, 3), `faces` (F, 3), `normals` (V, 3), `colors` (V, 3)
            and, if it is textured, `coordinates` (V, 2) and `texture` (h, w, 3). None where
            `blend` is given.
        blend: a .blend file whose objects are the models, with their own materials; "" for none.
        objects: their names in it.
        scene_light: whether they are lit as the file's scene is, in place of a plan's light.
        textures: what may be swapped in, each a `picture`, (h, w, 3) RGB, and its `aspect`, height
            by width.
        environments: files of HDRI pictures.
        samples: rays per pixel for each light.
        threads: CPU threads.
        through_file: as for `PassReader`.

    Raises:
        RenderError: this Blender is too old.
    """

    def __init__(
        self,
        meshes: Sequence[Mapping[str, NDArray[Any]]],
        textures: Sequence[Mapping[str, NDArray[Any]]],
        environments: Sequence[str],
        *,
        blend: str = "",
        objects: Sequence[str] = (),
        scene_light: bool = False,
        samples: int,
        threads: int,
        through_file: bool = False,
    ) -> None:
        if bpy.app.version < _OLDEST:
            raise RenderError(f"Blender {VERSION} is too old: use 4.2 to 5.2")
        self.description = f"Blender {VERSION} in this process"
        self._own_surfaces = bool(blend)
        self._unit = 1.0
        self.models: list[dict[str, NDArray[Any]]] = []
        blend_objects = self._open(blend, objects) if blend else []
        source = bpy.context.scene
        self._scene = scene = bpy.data.scenes.new("render-adapt")
        self._scene_light = SceneLight(source, scene) if scene_light else None
        self._samples = samples
        self._textures = [
            (
                materials.image_of(
                    f"render-adapt texture {number}", texture["picture"], encoded=bool(blend)
                ),
                float(texture["aspect"]),
            )
            for number, texture in enumerate(textures)
        ]
        self._meshes = [_mesh(number, arrays) for number, arrays in enumerate(meshes)]
        self._meshes += [blend_object.mesh for blend_object in blend_objects]
        self._scales = [blend_object.scale for blend_object in blend_objects] or [
            Matrix() for _ in meshes
        ]
        self._standing = [blend_object.standing for blend_object in blend_objects]
        self._own = [
            materials.image_of(f"render-adapt model {number}", arrays["texture"])
            if "texture" in arrays
            else None
            for number, arrays in enumerate(meshes)
        ]
        self._objects: list[list[bpy.types.Object]] = [[] for _ in self._meshes]
        self._materials: dict[tuple[int, int, bool], bpy.types.Material] = {}
        self._suns: list[bpy.types.Object] = []
        self._environments = list(environments)
        self._worlds: dict[str, bpy.types.World] = {}
        camera = bpy.data.cameras.new("render-adapt")
        scene.camera = bpy.data.objects.new("render-adapt camera", camera)
        scene.collection.objects.link(scene.camera)
        _set_up_cycles(scene, threads, _OWN_BOUNCES if blend else _BOUNCES)
        self._reader = PassReader(scene, through_file)

    def draw(self, plan: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Render a crop.

        Args:
            plan: the fields of `renderer._engines.scenes.Scene`, `environment` (2,) in [0, 1)
                (which picture, and how it is turned), `lit_rotation` (3, 3) and `lit_translation`
                (3,) (the first instance's pose, or one that looks alike, in which the light of a
                file's scene falls on it), and `depth_only`.

        Returns:
            The fields of `renderer._engines.scenes.Picture`; with `depth_only` just `depth`.

        Raises:
            RenderError: Blender cannot show a crop like this.
        """
        width, height = map(int, plan["size"])
        if min(width, height) < _LEAST_SIZE:
            raise RenderError(
                f"crops of {width} x {height} pixels are too small for Blender: "
                f"give a size of at least {_LEAST_SIZE}"
            )
        set_camera(self._scene, plan["camera_matrix"], width, height)
        self._scene.camera.data.clip_start = 1.0 / self._unit
        depth_only, maps = bool(plan["depth_only"]), bool(plan["maps"])
        view, cycles = self._scene.view_layers[0], self._scene.cycles
        view.use_pass_normal = view.use_pass_position = maps
        # A ray that meets a surface asks one of the lights, at random.
        lights = max(1, int((plan["light_color"].max(axis=-1, initial=0) > 0).sum()))
        if self._scene_light is not None:
            lights = self._scene_light.count
        cycles.samples = 1 if depth_only else self._samples * lights
        # Any number will do that the crop's own decides.
        cycles.seed = int(plan["index"]) % 2**31
        camera = self._camera_place(plan)
        self._scene.camera.matrix_world = camera
        self._place_objects(plan, camera)
        if not depth_only and self._scene_light is None:
            self._light(plan)
        passes = self._reader.render()
        depth = passes["Depth"][..., 0]
        depth = np.where(depth < _NOTHING, self._unit * depth, 0).astype(np.float32)
        if depth_only:
            return {"depth": depth}
        self._develop(passes, camera, maps)
        return {"depth": depth, **_picture(plan, passes, depth > 0)}

    def _develop(self, passes: dict[str, NDArray[Any]], camera: Matrix, maps: bool) -> None:
        """Make of what Cycles rendered values of a picture, camera axes and millimetres."""
        if self._scene_light is not None:
            passes["Combined"] = self._scene_light.exposure * passes["Combined"]
        if self._own_surfaces:
            passes["Combined"] = to_srgb(passes["Combined"])
        if maps and self._scene_light is not None:
            passes["Normal"], passes["Position"] = seen_from(
                camera, passes["Normal"], passes["Position"]
            )
        if maps:
            passes["Position"] = self._unit * passes["Position"]

    def close(self) -> None:
        """Take everything out of Blender again."""
        objects = [self._scene.camera, *self._suns, *itertools.chain(*self._objects)]
        data = [self._scene.camera.data, *(sun.data for sun in self._suns), *self._meshes]
        images = [
            *(image for image, _ in self._textures),
            *(image for image in self._own if image is not None),
        ]
        worlds = list(self._worlds.values())
        bpy.data.batch_remove([*objects, *data, *images, *worlds, *self._materials.values()])
        if self._scene_light is not None:
            self._scene_light.close()
        bpy.data.scenes.remove(self._scene)

    def _open(self, blend: str, objects: Sequence[str]) -> list[BlendObject]:
        """The objects of a .blend file, their `models` noted."""
        open_blend(Path(blend))
        blend_objects = evaluate_objects(objects)
        self._unit = millimetres_per_unit()
        self.models = [blend_object.arrays for blend_object in blend_objects]
        return blend_objects

    def _camera_place(self, plan: Mapping[str, Any]) -> Matrix:
        """At the origin; in the light of a file's scene around the target as it stands there."""
        if self._scene_light is None:
            return Matrix()
        pose = _pose(plan["lit_rotation"], plan["lit_translation"] / self._unit)
        return camera_place(self._standing[int(plan["object_index"][0])], pose)

    def _place_objects(self, plan: Mapping[str, Any], camera: Matrix) -> None:
        placed: list[bpy.types.Object] = []
        for instance, model in enumerate(plan["object_index"]):
            copies = self._objects[model]
            free = [copy for copy in copies if copy not in placed]
            object_ = free[0] if free else self._copy(int(model))
            placed.append(object_)
            specular = float(plan["specular"][instance])
            texture = int(plan["texture"][instance])
            keeps = self._own_surfaces and texture < 0
            # The material is the object's: objects that share a mesh may look different.
            for slot in object_.material_slots:
                slot.link = "DATA" if keeps else "OBJECT"
                if not keeps:
                    slot.material = self._material(int(model), texture, specular > 0)
            strength, roughness = materials.gloss(specular, float(plan["shininess"][instance]))
            object_[materials.GAIN] = [float(value) for value in plan["gain"][instance]]
            object_[materials.SPECULAR], object_[materials.ROUGHNESS] = strength, roughness
            object_[materials.PERIOD] = float(plan["texture_period"][instance])
            object_.pass_index = instance + 1
            translation = plan["translation"][instance] / self._unit
            pose = _pose(plan["rotation"][instance], translation)
            object_.matrix_world = camera @ pose @ self._scales[model]
            # Blender does not notice changes of custom properties by itself.
            object_.update_tag()
        for copies in self._objects:
            for copy in copies:
                copy.hide_render = copy not in placed

    def _copy(self, model: int) -> bpy.types.Object:
        """One more object that shows a model's mesh."""
        copy = bpy.data.objects.new(f"render-adapt model {model}", self._meshes[model])
        copy.rotation_mode = "QUATERNION"
        self._scene.collection.objects.link(copy)
        self._objects[model].append(copy)
        return copy

    def _material(self, model: int, texture: int, glossy: bool) -> bpy.types.Material:
        own_texture = None if self._own_surfaces else self._own[model]
        # All models without a texture of their own look into their vertices in the same way.
        key = (model if own_texture is not None and texture < 0 else -1, texture, glossy)
        if key not in self._materials:
            self._materials[key] = materials.surface_material(
                f"render-adapt {key}", own_texture if texture < 0 else None,
                self._textures[texture] if texture >= 0 else None, glossy,
            )  # fmt: skip
        return self._materials[key]

    def _light(self, plan: Mapping[str, Any]) -> None:
        directions, colors = plan["light_direction"], plan["light_color"]
        while len(self._suns) < len(colors):
            sun = bpy.data.lights.new("render-adapt", "SUN")
            sun.angle = 0.0
            self._suns.append(bpy.data.objects.new("render-adapt sun", sun))
            self._scene.collection.objects.link(self._suns[-1])
        for number, sun_object in enumerate(self._suns):
            strength = float(colors[number].max()) if number < len(colors) else 0.0
            sun_object.hide_render = strength <= 0
            if strength > 0:
                # A white, matt surface that faces a sun of strength pi has a radiance of 1.
                sun_object.data.energy = np.pi * strength
                sun_object.data.color = [float(value) / strength for value in colors[number]]
                towards = Vector(directions[number] * _FLIP)
                sun_object.matrix_world = towards.to_track_quat("Z", "Y").to_matrix().to_4x4()
        world = self._scene.world = self._world(float(plan["environment"][0]))
        turn = _upright(plan["up"] * _FLIP, 2 * np.pi * float(plan["environment"][1]))
        materials.set_ambient(world, plan["ambient_color"], turn.to_euler("XYZ"))

    def _world(self, draw: float) -> bpy.types.World:
        file = ""
        if self._environments:
            file = self._environments[int(draw * len(self._environments))]
        if file not in self._worlds:
            self._worlds[file] = (
                materials.environment_world("render-adapt", file)
                if file
                else materials.plain_world("render-adapt")
            )
        return self._worlds[file]


def set_camera(
    scene: bpy.types.Scene, camera_matrix: NDArray[np.float64], width: int, height: int
) -> None:
    """Give a scene's camera, at the origin, the field of view of K.

    Convention:
        K is measured from the image's corner: its centre is at (width / 2, height / 2). Blender's
        lens is over the sensor's width, and shifts are in units of the image's width, the one down
        too, for which pixels that are not square count as high as they are.

    Raises:
        RenderError: K has skew, which Blender's cameras have not.
    """
    k = np.asarray(camera_matrix, np.float64)
    if k[0, 1] != 0:
        raise RenderError(f"K has a skew of {k[0, 1]:g}: Blender's cameras have none, use raster")
    fx, fy = k[0, 0], k[1, 1]
    render, camera = scene.render, scene.camera.data
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    # Blender takes aspects from 1 on.
    render.pixel_aspect_x, render.pixel_aspect_y = max(1.0, fy / fx), max(1.0, fx / fy)
    camera.type, camera.sensor_fit, camera.sensor_width = "PERSP", "HORIZONTAL", _SENSOR
    camera.lens = fx * _SENSOR / width
    camera.shift_x = (width / 2 - k[0, 2]) / width
    camera.shift_y = (k[1, 2] - height / 2) / width * fx / fy
    camera.clip_start, camera.clip_end = 1.0, 1e6


def _set_up_cycles(scene: bpy.types.Scene, threads: int, bounces: int) -> None:
    render, cycles, view = scene.render, scene.cycles, scene.view_layers[0]
    render.engine, cycles.device = "CYCLES", "CPU"
    render.threads_mode, render.threads = "FIXED", threads
    render.use_persistent_data = True
    render.film_transparent = True
    render.use_compositing = render.use_sequencer = False
    cycles.use_denoising = cycles.use_adaptive_sampling = False
    # All rays of a pixel go through its centre: nothing is mixed at silhouettes.
    cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", 0.01
    cycles.max_bounces = bounces
    cycles.caustics_reflective = cycles.caustics_refractive = False
    view.use_pass_z = view.use_pass_object_index = True


def _mesh(number: int, arrays: Mapping[str, NDArray[Any]]) -> bpy.types.Mesh:
    vertices, faces = arrays["vertices"], _sound(arrays["faces"])
    mesh = bpy.data.meshes.new(f"render-adapt model {number}")
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", np.ascontiguousarray(vertices, np.float32).ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(faces, np.int32).ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), bool))
    mesh.update(calc_edges=True)
    mesh.normals_split_custom_set_from_vertices(arrays["normals"].astype(np.float32))
    colors = np.ones((len(vertices), 4), np.float32)
    colors[:, :3] = arrays["colors"].astype(np.float32) / 255
    layer = mesh.attributes.new(materials.COLOR, "FLOAT_COLOR", "POINT")
    layer.data.foreach_set("color", colors.ravel())
    if "coordinates" in arrays:
        corners = np.ascontiguousarray(arrays["coordinates"][faces], np.float32)
        mesh.uv_layers.new(name=materials.COORDINATES).data.foreach_set("uv", corners.ravel())
    mesh.materials.append(None)
    return mesh


def _sound(faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Faces without those that Blender's meshes must not have: lines, and the same one twice."""
    ordered = np.sort(faces, axis=1)
    _, first = np.unique(ordered, axis=0, return_index=True)
    is_kept = np.zeros(len(faces), bool)
    is_kept[first] = True
    is_kept &= (ordered[:, 0] != ordered[:, 1]) & (ordered[:, 1] != ordered[:, 2])
    return faces[is_kept]


def _pose(rotation: NDArray[np.float64], translation: NDArray[np.float64]) -> Matrix:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = _FLIP[:, None] * rotation, _FLIP * translation
    return Matrix(pose.tolist())


def _upright(up: NDArray[np.float64], azimuth: float) -> Matrix:
    """The rotation that takes `up` to z, and then turns about it."""
    return (
        Matrix.Rotation(azimuth, 3, "Z")
        @ Vector(up).rotation_difference(Vector((0, 0, 1))).to_matrix()
    )


def _picture(
    plan: Mapping[str, Any], passes: Mapping[str, NDArray[np.float32]], hit: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    color = np.rint(255 * np.clip(passes["Combined"][..., :3], 0, 1)).astype(np.uint8)
    instance = np.rint(passes["Index"][..., 0]).astype(np.int16) - 1
    picture: dict[str, NDArray[Any]] = {
        "rgb": np.where(hit[..., None], color, 0).astype(np.uint8),
        "instance": np.where(hit, instance, -1).astype(np.int16),
    }
    if plan["maps"]:
        picture["normals"] = (passes["Normal"] * _FLIP).astype(np.float32)
        instance_index = np.clip(picture["instance"], 0, None)
        from_origin = passes["Position"] * _FLIP - plan["translation"][instance_index]
        # Of each pixel: its instance's rotation, the other way round.
        places = np.einsum("hwji,hwj->hwi", plan["rotation"][instance_index], from_origin)
        picture["positions"] = places.astype(np.float32)
    return picture
