"""Objects of .blend files: their size, shape and looks as in Blender's scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cad_models import CadModel
from render_adapt import RunConfig, SettingError, generate, verify
from renderer import (
    BlenderRenderer,
    BlendFile,
    PlanConfig,
    RenderError,
    load_blend_models,
    make_plans,
    make_renderer,
    plans_from_poses,
)
from tests.blend_files import make_blend, needs_blender

pytestmark = needs_blender

PARTS = """
turned = Matrix.Translation((3, 2, 1)) @ Matrix.Rotation(0.7, 4, (1, 2, 3))
box("Box", (0, 0, 0), (1, 1, 1), turned @ Matrix.Diagonal((0.06, 0.1, 0.14, 1)))
box("mirrored.001", (0, 0, 0), (0.05, 0.1, 0.02), Matrix.Diagonal((-1, 1, 1, 1)))
parent = add("parent", None)
parent.scale = (1, 2, 1)
child = box("child", (0, 0, 0), (0.05, 0.05, 0.05))
child.parent = parent

round = box("round", (-0.05,) * 3, (0.05,) * 3)
finer = round.modifiers.new("finer", "SUBSURF")
finer.levels, finer.render_levels = 0, 3
hidden = box("hidden", (-0.03,) * 3, (0.03,) * 3)
hidden.hide_viewport = hidden.hide_render = True
thin = round.modifiers.new("not rendered", "WIREFRAME")
thin.show_viewport, thin.show_render = True, False

glow = box("glow", (-0.04,) * 3, (0.04,) * 3)
glow.data.materials.append(material("glow", (0.2, 0.05, 0.8)))
plain = box("plain", (-0.04,) * 3, (0.04,) * 3)
plain.data.materials.append(material("plain", (0.2, 0.05, 0.8), "ShaderNodeBsdfPrincipled"))

striped = box("striped", (-0.5,) * 3, (0.5,) * 3, Matrix.Scale(0.08, 4))
stripes = material("stripes", (1, 1, 1))
tree = stripes.node_tree
place = tree.nodes.new("ShaderNodeTexCoord")
apart = tree.nodes.new("ShaderNodeSeparateXYZ")
above = tree.nodes.new("ShaderNodeMath")
above.operation = "GREATER_THAN"
above.inputs[1].default_value = 0.25
tree.links.new(place.outputs["Object"], apart.inputs[0])
tree.links.new(apart.outputs["X"], above.inputs[0])
tree.links.new(above.outputs[0], tree.nodes["Emission"].inputs["Color"])
striped.data.materials.append(stripes)

add("empty", None)
add("bare", mesh("bare", [(0, 0, 0), (1, 0, 0)], []))
box("flattened", matrix=Matrix.Diagonal((1, 1, 0, 1)))
add("lamp", bpy.data.lights.new("lamp", "POINT"))
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_blend(tmp_path_factory.mktemp("blend") / "parts.blend", PARTS)


@pytest.fixture(scope="module")
def models(parts: Path) -> dict[str, CadModel]:
    names = ("Box", "mirrored.001", "child", "round", "hidden", "glow", "plain", "striped")
    loaded = load_blend_models(BlendFile(parts, names))
    assert [model.object_id for model in loaded] == list(range(1, 9))
    return {model.name: model for model in loaded}


def volume(model: CadModel) -> float:
    """Positive where faces wind counter-clockwise seen from outside."""
    a, b, c = model.mesh.vertices.astype(np.float64)[model.mesh.faces].swapaxes(0, 1)
    return float(np.einsum("fi,fi->f", a, np.cross(b, c)).sum() / 6)


def test_scale_is_applied_and_rotation_is_not(models: dict[str, CadModel]) -> None:
    np.testing.assert_allclose(models["Box"].bounds, [[0, 0, 0], [60, 100, 140]], atol=1e-3)
    assert volume(models["Box"]) == pytest.approx(60 * 100 * 140, rel=1e-5)
    assert models["Box"].diameter == pytest.approx(np.linalg.norm([60, 100, 140]), rel=1e-6)
    np.testing.assert_allclose(models["child"].bounds, [[0, 0, 0], [50, 100, 50]], atol=1e-3)


def test_a_mirrored_object_stays_mirrored_and_has_its_outside_outside(
    models: dict[str, CadModel],
) -> None:
    mirrored = models["mirrored_001"]
    # Which mirror image it is depends on how the rest is told from a rotation; its volume not.
    assert volume(mirrored) == pytest.approx(50 * 100 * 20, rel=1e-5)
    outward = mirrored.mesh.vertices - mirrored.centre
    assert (np.einsum("vi,vi->v", outward, mirrored.mesh.normals) > 0).all()


def test_modifiers_do_what_they_do_in_renders(models: dict[str, CadModel]) -> None:
    # A cube of 6 faces, subdivided thrice: 6 * 4 ** 3 faces of two triangles; no wires.
    assert len(models["round"].mesh.faces) == 6 * 4**3 * 2


def test_what_the_scene_hides_can_be_rendered_all_the_same(models: dict[str, CadModel]) -> None:
    assert models["hidden"].diameter == pytest.approx(60 * np.sqrt(3), rel=1e-5)


def test_the_scenes_unit_counts(tmp_path: Path) -> None:
    script = "scene.unit_settings.scale_length = 0.001\nbox('Box', (0, 0, 0), (60, 100, 140))"
    (model,) = load_blend_models(BlendFile(make_blend(tmp_path / "mm.blend", script), ("Box",)))
    np.testing.assert_allclose(model.bounds, [[0, 0, 0], [60, 100, 140]], atol=1e-3)


def test_materials_look_as_they_do_in_blender(parts: Path, models: dict[str, CadModel]) -> None:
    glow = models["glow"]
    renderer = BlenderRenderer([glow], blend=BlendFile(parts, ("glow",)))
    plans = plans_from_poses([glow], [0], [np.eye(3)], 500.0, window=60.0, size=8)
    rgb = renderer.render(plans).rgb[0]
    renderer.close()
    # What shines of itself shows its colour, encoded as sRGB encodes it (IEC 61966-2-1).
    expected = [255 * (1.055 * value ** (1 / 2.4) - 0.055) for value in (0.2, 0.05, 0.8)]
    np.testing.assert_allclose(rgb.reshape(-1, 3), np.tile(np.rint(expected), (64, 1)), atol=1)
    # Engines that know nothing of materials show the plain colour of a plain one.
    np.testing.assert_allclose(
        models["plain"].mesh.colors, np.tile(np.rint(expected), (24, 1)), atol=1
    )


def test_textures_stay_where_they_are_on_the_object(
    parts: Path, models: dict[str, CadModel]
) -> None:
    """Object coordinates of a scaled object are those before its scale: 1 across, not 80."""
    striped = models["striped"]
    renderer = BlenderRenderer([striped], blend=BlendFile(parts, ("striped",)))
    plans = plans_from_poses([striped], [0], [np.diag([1.0, -1, -1])], 1e5, window=80.0, size=16)
    row = renderer.render(plans).rgb[0, 8, :, 0]
    renderer.close()
    # The camera sees x from -0.5 to 0.5 from left to right: white from 0.25 on.
    np.testing.assert_array_equal(row, [0] * 12 + [255] * 4)


def test_engines_agree_on_geometry(parts: Path, models: dict[str, CadModel]) -> None:
    names = ("Box", "mirrored.001", "child", "round")
    some = [models[name.replace(".", "_")] for name in names]
    plans = make_plans(PlanConfig(viewpoints="so3"), some, 3, 0, 24)
    drawn = []
    for engine in ("blender", "raster"):
        renderer = make_renderer(engine, some, blend=BlendFile(parts, names), levels=False)
        drawn.append(renderer.render(plans))
    cycles, raster = drawn
    assert (cycles.mask != raster.mask).sum() <= 24  # on outlines: a pixel a crop
    both = cycles.mask & raster.mask
    off = np.abs(cycles.depth - raster.depth)[both]
    assert np.quantile(off, 0.999) < 0.1
    assert both.sum() > 24 * 100


def test_the_hash_is_of_looks_too(parts: Path, models: dict[str, CadModel], tmp_path: Path) -> None:
    (again,) = load_blend_models(BlendFile(parts, ("glow",)))
    assert again.sha256 == models["glow"].sha256
    other = make_blend(tmp_path / "parts.blend", PARTS.replace("(0.2, 0.05, 0.8)", "(0.3, 0, 0)"))
    (repainted,) = load_blend_models(BlendFile(other, ("glow",)))
    np.testing.assert_array_equal(repainted.mesh.vertices, again.mesh.vertices)
    assert repainted.sha256 != again.sha256


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", r"^there is no object nothing in parts\.blend: it has Box, bare, child"),
        ("empty", "empty has no surface, it is of the type empty: leave it out"),
        ("lamp", "lamp has no surface, it is of the type light: leave it out"),
        ("bare", "bare has no faces: give it some"),
        ("flattened", "flattened has a scale of 0 along an axis: give it another"),
    ],
)
def test_what_cannot_be_rendered_is_refused(name: str, message: str, parts: Path) -> None:
    with pytest.raises(RenderError, match=message):
        load_blend_models(BlendFile(parts, (name,)))


def test_an_object_whose_library_is_missing_is_refused(tmp_path: Path) -> None:
    library = make_blend(tmp_path / "library.blend", "box('shared')")
    script = f"""
with bpy.data.libraries.load({str(library)!r}, link=True) as (there, here):
    here.objects = ["shared"]
scene.collection.objects.link(here.objects[0])
"""
    scene = make_blend(tmp_path / "scene.blend", script)
    library.unlink()
    with pytest.raises(RenderError, match=r"shared is linked from .*library\.blend, which is miss"):
        load_blend_models(BlendFile(scene, ("shared",)))


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "not.blend"
    file.write_bytes(b"BLENDER of a kind")
    with pytest.raises(RenderError, match=r"not\.blend cannot be opened by Blender"):
        load_blend_models(BlendFile(file, ("Cube",)))


def test_names_that_are_the_same_in_file_names_are_refused(tmp_path: Path) -> None:
    file = make_blend(tmp_path / "two.blend", "box('part.1')\nbox('part_1')")
    with pytest.raises(RenderError, match=r"part\.1 and part_1 have one name in files, part_1"):
        load_blend_models(BlendFile(file, ("part.1", "part_1")))


def dataset(parts: Path, out: Path, n: int, workers: int) -> str:
    config = RunConfig(
        objects=("glow", "mirrored.001"), models=parts, renderer="blender", n=n,
        adapter="none", workers=workers, out=out, samples=1,
    )  # fmt: skip
    return generate(config).sha256


def test_a_dataset_of_them_is_sound(parts: Path, tmp_path: Path) -> None:
    dataset(parts, tmp_path / "d", 20, workers=1)
    found = verify(tmp_path / "d")
    assert not found.bad
    assert found.crops == 20


@pytest.mark.slow
def test_a_dataset_of_them_is_the_same_with_two_workers(parts: Path, tmp_path: Path) -> None:
    assert dataset(parts, tmp_path / "1", 260, 1) == dataset(parts, tmp_path / "2", 260, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": Path("gone.blend")}, "`models` is gone.blend, which is not there"),
        ({"units": "mm"}, "has a unit of its own"),
        ({"samples": 0}, "`samples` is 0: it must be from 1 to 4096"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    changes: dict[str, object], message: str, parts: Path, tmp_path: Path
) -> None:
    given = {"models": parts, "objects": ("glow",), "n": 1, "out": tmp_path / "d", **changes}
    with pytest.raises(SettingError, match=message):
        generate(RunConfig(**given))  # type: ignore[arg-type]
    assert not (tmp_path / "d").exists()
