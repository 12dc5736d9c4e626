"""Objects of .blend files in the light of their scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cad_models import CadModel, declare_symmetries
from render_adapt import RunConfig, SettingError, generate, verify
from renderer import (
    BlenderRenderer,
    BlendFile,
    CropBatch,
    load_blend_models,
    plans_from_poses,
    rotation_about,
)
from tests.blend_files import make_blend, needs_blender

SUN = """
from math import pi
turned = Matrix.Translation((3, 2, 1)) @ Matrix.Rotation(0.7, 4, (1, 2, 3))
part = box("part", (-0.04,) * 3, (0.04,) * 3, turned)
part.data.materials.append(material("matt", (0.25, 0.25, 0.25), "ShaderNodeBsdfDiffuse"))
data = bpy.data.lights.new("sun", "SUN")
data.energy, data.angle = pi, 0.0
# It shines down its own -z: here from the scene's +x.
add("sun", data, Matrix.Rotation(pi / 2, 4, "Y"))
off = add("off", data, Matrix.Rotation(-pi / 2, 4, "Y"))
off.hide_render = True
scene.view_settings.exposure = 1
"""
TURNED = rotation_about((1, 2, 3), 0.7)
WORLD = """
world = scene.world = bpy.data.worlds.new("sky")
world.use_nodes = True
world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.2, 0.4, 0.1, 1)
part = box("part", (-0.04,) * 3, (0.04,) * 3)
part.data.materials.append(material("matt", (0.5, 0.5, 0.5), "ShaderNodeBsdfDiffuse"))
"""


def encoded(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """As sRGB encodes it (IEC 61966-2-1)."""
    curve = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    return 255 * np.where(light <= 0.0031308, 12.92 * light, curve)


def six_sides() -> NDArray[np.float64]:
    """(6, 3, 3), a camera before each face of a box, and (as -rotation[2]) the face's normal."""
    across = [(0, 1, 0), (0, 0, 1), (1, 0, 0)]
    sides = [(np.roll([sign, 0, 0], axis), across[axis]) for axis in range(3) for sign in (1, -1)]
    return np.array(
        [[np.cross(right, normal), right, np.negative(normal)] for normal, right in sides]
    )


def drawn(
    file: Path, models: list[CadModel], rotations: NDArray[np.float64], *, scene_light: bool = True
) -> CropBatch:
    blend = BlendFile(file, ("part",), scene_light=scene_light)
    renderer = BlenderRenderer(models, blend=blend, samples=16)
    plans = plans_from_poses(
        models, [0] * len(rotations), rotations, 600.0, window=120.0, size=24, canonical=False
    )
    crops = renderer.render(plans, surface_maps=True)
    renderer.close()
    return crops


@pytest.fixture(scope="module")
def sunny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_blend(tmp_path_factory.mktemp("blend") / "sunny.blend", SUN)


class TestInBlender:
    pytestmark = needs_blender

    def test_light_falls_on_objects_as_they_stand_in_the_scene(self, sunny: Path) -> None:
        models = load_blend_models(BlendFile(sunny, ("part",)))
        sides = six_sides()
        crops = drawn(sunny, models, sides)
        middle = crops.rgb[:, 12, 12]
        facing = np.maximum(-(TURNED @ sides[:, 2].T)[0], 0)
        assert (facing > 0.1).sum() == 3
        # A matt surface of 0.25 in a sun of strength pi, a stop brighter.
        expected = np.repeat(encoded(2 * 0.25 * facing)[:, None], 3, axis=1)
        np.testing.assert_allclose(middle, expected, atol=1.5)

    def test_light_moves_no_label(self, sunny: Path) -> None:
        models = load_blend_models(BlendFile(sunny, ("part",)))
        rotations = rotation_about([(1, 2, 0.5), (-1, 0.3, 2), (0.2, -3, 1)], [0.8, 2.0, 1.3])
        lit = drawn(sunny, models, rotations)
        plain = drawn(sunny, models, rotations, scene_light=False)
        np.testing.assert_array_equal(lit.mask, plain.mask)
        np.testing.assert_allclose(lit.depth, plain.depth, atol=0.01)
        for name in ("normals", "object_coordinates"):
            off = np.abs(getattr(lit, name) - getattr(plain, name)).max(axis=3)
            # At an edge a pixel's rays may meet either face.
            assert (off[plain.mask] > 1e-3).mean() < 0.02, name
        assert plain.mask.sum() > 3 * 100

    def test_the_world_lights_too(self, tmp_path: Path) -> None:
        file = make_blend(tmp_path / "sky.blend", WORLD)
        models = load_blend_models(BlendFile(file, ("part",)))
        middle = drawn(file, models, six_sides()).rgb[:, 12, 12]
        expected = encoded(0.5 * np.array([0.2, 0.4, 0.1]))
        np.testing.assert_allclose(middle, np.tile(expected, (6, 1)), atol=1.5)

    def test_a_symmetric_object_is_lit_from_all_sides(self, sunny: Path) -> None:
        """Its poses are canonical: a camera that goes around it sees it in one of them."""
        models = load_blend_models(BlendFile(sunny, ("part",)))
        (side,) = six_sides()[:1]
        alike = declare_symmetries(models, ["part=z4"])
        brightness = {
            name: {
                int(value)
                for value in drawn(sunny, given, np.tile(side, (24, 1, 1))).rgb[:, 12, 12, 0]
            }
            for name, given in (("as it is", models), ("z4", alike))
        }
        # Its four sides have each their own light, or none.
        turned = TURNED @ np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]]).T
        expected = encoded(2 * 0.25 * np.maximum(turned[0], 0))
        assert len(brightness["as it is"]) == 1
        assert all(np.abs(expected - value).min() < 2 for value in brightness["z4"])
        assert len(brightness["z4"]) == len({round(value) for value in expected})

    def test_other_light_is_another_run(self, sunny: Path, tmp_path: Path) -> None:
        """Hashes are of looks, where the scene lights them."""
        dim = make_blend(
            tmp_path / "sunny.blend",
            SUN.replace("data.energy, data.angle = pi", "data.energy, data.angle = 1"),
        )

        def hash_of(file: Path, scene_light: bool) -> str:
            (model,) = load_blend_models(BlendFile(file, ("part",), scene_light=scene_light))
            return model.sha256

        assert hash_of(sunny, False) == hash_of(dim, False)
        assert hash_of(sunny, True) != hash_of(dim, True)

    def test_a_dataset_in_it_is_sound(self, sunny: Path, tmp_path: Path) -> None:
        config = RunConfig(
            ("part",), models=sunny, renderer="blender", lit_by="scene", n=6, adapter="none",
            workers=1, out=tmp_path / "d", samples=1,
        )  # fmt: skip
        generate(config)
        assert verify(tmp_path / "d", workers=1).bad == ()
        again = generate(config)
        assert again.crops_made == 0


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"models": Path("models"), "renderer": "blender"},
        {"models": Path("scene.blend"), "renderer": "raster"},
    ],
)
def test_without_a_scene_there_is_no_light_of_one(changes: dict[str, object]) -> None:
    with pytest.raises(SettingError, match=r"`lit_by` scene is the light of a \.blend file"):
        RunConfig(("ape",), n=1, lit_by="scene", **changes)  # type: ignore[arg-type]


def test_two_lights_are_refused(tmp_path: Path) -> None:
    randomize = tmp_path / "light.toml"
    randomize.write_text('environments = "."')
    with pytest.raises(SettingError, match="`environments` would light it too"):
        RunConfig(
            ("part",), n=1, lit_by="scene", models=Path("scene.blend"), renderer="blender",
            randomize=randomize,
        )  # fmt: skip
