"""glTF: what a render of a file shows, and that its geometry is what the file says."""

from __future__ import annotations

import base64
import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cad_models import ModelError
from tests.gltf_files import (
    SQUARE,
    SQUARE_UV,
    Gltf,
    color_at,
    encoded,
    glb,
    load,
    seen_from_front,
)

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
HALF = 0.21586
"""The light that is 128 of 255."""
CLAMP, MIRROR = 33071, 33648


def halves(left: Any, right: Any, size: int = 16) -> NDArray[np.uint8]:
    picture = np.zeros((size, size, len(left)), np.uint8)
    picture[:, : size // 2], picture[:, size // 2 :] = left, right
    return picture


def quarters() -> NDArray[np.uint8]:
    """Red, green / blue, white."""
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:8, :8], picture[:8, 8:], picture[8:, :8], picture[8:, 8:] = RED, GREEN, BLUE, WHITE
    return picture


def disc(size: int = 64, radius: float = 24) -> NDArray[np.uint8]:
    """Green, and around it magenta that is not there."""
    rows, columns = np.mgrid[:size, :size] + 0.5 - size / 2
    inside = np.hypot(rows, columns) < radius
    return np.where(inside[..., None], (0, 200, 0, 255), (255, 0, 255, 0)).astype(np.uint8)


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text


class TestColours:
    def test_a_factor_is_linear(self, tmp_path: Path) -> None:
        file = Gltf()
        file.shown(file.square(file.material(factor=[HALF, 0.5, 1, 1])))
        model = load(file.write(tmp_path / "a.glb"))
        assert color_at(model, 0, 0) == (128, 188, 255)
        assert model.notes == ()

    @pytest.mark.parametrize("has_material", [False, True])
    @pytest.mark.parametrize(
        "colors",
        [
            np.array([[HALF, 0, 0, 1]] * 4, "<f4"),
            np.array([[HALF, 0, 0]] * 4, "<f4"),
            np.array([[55, 0, 0, 255]] * 4, "u1"),
            np.array([[14146, 0, 0]] * 4, "<u2"),
        ],
    )
    def test_vertex_colours_are_linear(
        self, tmp_path: Path, colors: NDArray[Any], has_material: bool
    ) -> None:
        file = Gltf()
        accessor = file.accessor(colors, normalized=colors.dtype.kind == "u")
        material = file.material() if has_material else None
        file.shown(file.square(material, COLOR_0=accessor))
        red, green, blue = color_at(load(file.write(tmp_path / "a.glb")), 0, 0) or (0, 0, 0)
        assert red == pytest.approx(128, abs=0.6)
        assert (green, blue) == (0, 0)

    def test_vertex_colours_times_a_factor(self, tmp_path: Path) -> None:
        file = Gltf()
        colors = np.array([(0.5, 1, 1), (0.5, 1, 1), (1, 1, 0.5), (1, 1, 0.5)], "<f4")
        file.shown(file.square(file.material(factor=[2 * HALF, 0, 1, 1]), COLOR_0=colors))
        mesh = load(file.write(tmp_path / "a.glb")).mesh
        top = mesh.vertices[:, 1] > 0
        assert {tuple(color) for color in mesh.colors[~top].tolist()} == {(128, 0, 255)}
        assert {tuple(color) for color in mesh.colors[top].tolist()} == {(176, 0, 188)}

    def test_a_texture_times_a_factor(self, tmp_path: Path) -> None:
        file = Gltf()
        texture = file.texture(halves(WHITE, (188, 100, 0)))
        file.shown(file.square(file.material(texture, factor=[0.5, 1, 0, 1])))
        model = load(file.write(tmp_path / "a.glb"))
        assert color_at(model, -30, 0) == (188, 255, 0)
        # 188 is 0.503 of light, and half of that is 137.
        assert color_at(model, 30, 0) == (137, 100, 0)

    def test_a_texture_times_vertex_colours_times_a_factor(self, tmp_path: Path) -> None:
        file = Gltf()
        texture = file.texture(quarters())
        colors = np.array([(1, 1, 1), (1, 1, 1), (0, HALF, 1), (0, HALF, 1)], "<f4")
        file.shown(file.square(file.material(texture, factor=[1, 0.5, 1, 1]), COLOR_0=colors))
        model = load(file.write(tmp_path / "a.glb"))

        def light(value: float) -> int:
            return round(255 * (1.055 * value ** (1 / 2.4) - 0.055))

        for up in (-40, -25, -8, 8, 25, 40):
            share = (up - 0.5 + 50) / 100
            left, right = color_at(model, -25, up), color_at(model, 25, up)
            red, green = 1 - share, 0.5 * (1 + share * (HALF - 1))
            top, bottom = (light(red), 0, 0), (light(red), light(green), 255)
            np.testing.assert_allclose(left or 0, top if up > 0 else BLUE, atol=2)
            green_part = (0, light(green), 0)
            np.testing.assert_allclose(right or 0, green_part if up > 0 else bottom, atol=2)

    def test_every_part_has_its_own_material(self, tmp_path: Path) -> None:
        file = Gltf()
        materials = [
            file.material(file.texture(quarters())),
            file.material(factor=[0, 0, 1, 1]),
            file.material(file.texture(halves(RED, GREEN))),
            None,
        ]
        for number, material in enumerate(materials):
            corner = [0.06 * (number % 2), 0.06 * (number // 2), 0]
            file.shown(file.square(material), scale=[0.5, 0.5, 1], translation=corner)
        model = load(file.write(tmp_path / "a.glb"))
        expected = {
            (-42, -18): RED, (-18, -18): GREEN, (-42, -42): BLUE, (-18, -42): WHITE,
            (30, -30): BLUE,
            (-42, 30): RED, (-18, 30): GREEN,
            (30, 30): (190, 190, 190),
            (0, 0): None,
        }  # fmt: skip
        assert {place: color_at(model, *place) for place in expected} == expected

    def test_shaded_colours_beside_a_texture(self, tmp_path: Path) -> None:
        file = Gltf()
        file.shown(file.square(file.material(file.texture(quarters()))), translation=[0, 0, -0.01])
        colors = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], "<f4")
        file.shown(file.square(COLOR_0=colors))
        model = load(file.write(tmp_path / "a.glb"))
        for across, up in [(-40, -40), (40, -40), (10, 30), (-30, 10), (0, 0), (-10, 40)]:
            expected = (2.55 * (across + 50.5), 2.55 * (up + 49.5), 0)
            np.testing.assert_allclose(color_at(model, across, up) or 0, expected, atol=1)

    def test_specular_glossiness_shows_its_diffuse_colour(self, tmp_path: Path) -> None:
        file = Gltf(extensionsRequired=["KHR_materials_pbrSpecularGlossiness"])
        glossy = {
            "diffuseFactor": [1, HALF, 1, 1],
            "diffuseTexture": file.texture(halves(WHITE, BLUE)),
        }
        material = file.material(
            factor=[0, 0, 0, 1], extensions={"KHR_materials_pbrSpecularGlossiness": glossy}
        )
        file.shown(file.square(material))
        model = load(file.write(tmp_path / "a.glb"))
        assert color_at(model, -30, 0) == (255, 128, 255)
        assert color_at(model, 30, 0) == BLUE

    def test_what_is_not_shown_is_said_once(self, tmp_path: Path) -> None:
        file = Gltf(extensionsRequired=["KHR_materials_transmission", "KHR_materials_unlit"])
        material = file.material(
            factor=[0, 0, 0, 1],
            emissiveFactor=[1, 0, 0],
            normalTexture={"index": 0},
            extensions={"KHR_materials_transmission": {}, "KHR_materials_unlit": {}},
        )
        lines = file.square() | {"mode": 1}
        file.shown(file.square(material), file.square(material), lines)
        model = load(file.write(tmp_path / "a.glb"))
        assert color_at(model, 0, 0) == (0, 0, 0)
        assert model.notes == (
            "a.glb: emission, normal maps, points and lines and transparency are left out",
        )
        file = Gltf()
        file.shown(file.square(file.material(emissiveFactor=[0, 0, 1])))
        assert load(file.write(tmp_path / "b.glb")).notes == ("b.glb: emission is left out",)


class TestTextures:
    @pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg"])
    def test_pictures_of_every_kind(self, tmp_path: Path, suffix: str) -> None:
        file = Gltf(extensionsRequired=["EXT_texture_webp"] if suffix == ".webp" else [])
        image = file.image(quarters(), suffix)
        texture: dict[str, Any] = {"source": image}
        if suffix == ".webp":
            texture = {"extensions": {"EXT_texture_webp": {"source": image}}}
        file.shown(file.square(file.material({"index": file.add("textures", **texture)})))
        model = load(file.write(tmp_path / "a.glb"))
        tolerance = 5 if suffix == ".jpg" else 0
        for place, color in {(-25, 25): RED, (25, 25): GREEN, (-25, -25): BLUE}.items():
            np.testing.assert_allclose(color_at(model, *place) or 0, color, atol=tolerance)

    @pytest.mark.parametrize(
        ("picture", "expected"),
        [
            (np.full((8, 8), 70, np.uint8), (70, 70, 70)),
            (np.full((8, 8), 70 * 257, np.uint16), (70, 70, 70)),
            (np.full((8, 8, 3), 70 * 257, np.uint16), (70, 70, 70)),
            (np.full((8, 8, 4), (70, 80, 90, 0), np.uint8), (70, 80, 90)),
        ],
    )
    def test_pictures_of_other_depths(
        self, tmp_path: Path, picture: NDArray[Any], expected: tuple[int, int, int]
    ) -> None:
        file = Gltf()
        file.shown(file.square(file.material(file.texture(picture))))
        assert color_at(load(file.write(tmp_path / "a.glb")), 0, 0) == expected

    def test_a_palette_with_transparency(self, tmp_path: Path) -> None:
        picture = PIL.Image.fromarray(halves(RED, BLUE)).convert("P")
        content = io.BytesIO()
        picture.save(content, "PNG", transparency=picture.getpixel((0, 0)))
        file = Gltf()
        image = file.add("images", bufferView=file.view(content.getvalue()))
        texture = {"index": file.add("textures", source=image)}
        file.shown(file.square(file.material(texture, alphaMode="MASK")))
        file.shown(file.square(file.material(factor=[0, 1, 0, 1])), translation=[0, 0, -0.01])
        model = load(file.write(tmp_path / "a.glb"))
        assert color_at(model, 30, 0) == BLUE
        assert color_at(model, -30, 0) == GREEN

    @pytest.mark.parametrize(
        ("values", "normalized"),
        [
            (np.array([[58981, 32767]] * 4, "<u2"), True),
            (np.array([[230, 127]] * 4, "u1"), True),
            (np.array([[0.9, 0.5]] * 4, "<f4"), False),
            (np.array([[29490, 16383]] * 4, "<i2"), True),
            (np.array([[114, 64]] * 4, "i1"), True),
        ],
    )
    def test_coordinates_in_every_kind_of_number(
        self, tmp_path: Path, values: NDArray[Any], normalized: bool
    ) -> None:
        file = Gltf()
        accessor = file.accessor(values, normalized=normalized)
        file.shown(
            file.square(file.material(file.texture(halves(RED, GREEN))), TEXCOORD_0=accessor)
        )
        model = load(file.write(tmp_path / "a.glb"))
        assert model.mesh.texture_coordinates is not None
        np.testing.assert_allclose(model.mesh.texture_coordinates, [[0.9, 0.5]] * 4, atol=0.005)
        assert color_at(model, 0, 0) == GREEN

    def test_whole_numbers_that_a_transform_brings_to_the_picture(self, tmp_path: Path) -> None:
        """As gltfpack writes them."""
        file = Gltf(extensionsRequired=["KHR_mesh_quantization", "KHR_texture_transform"])
        texture = file.texture(halves(RED, GREEN))
        texture["extensions"] = {"KHR_texture_transform": {"scale": [1 / 4095, 1 / 4095]}}
        coordinates = np.array([[3685, 2048]] * 4, "<u2")
        file.shown(file.square(file.material(texture), TEXCOORD_0=coordinates))
        assert color_at(load(file.write(tmp_path / "a.glb")), 0, 0) == GREEN

    @pytest.mark.parametrize("by_transform", [False, True])
    def test_the_second_set_of_coordinates(self, tmp_path: Path, by_transform: bool) -> None:
        file = Gltf()
        texture = file.texture(halves(RED, GREEN))
        if by_transform:
            texture["extensions"] = {"KHR_texture_transform": {"texCoord": 1}}
        else:
            texture["texCoord"] = 1
        second = np.array([[0.9, 0.5]] * 4, "<f4")
        first = np.array([[0.1, 0.5]] * 4, "<f4")
        file.shown(file.square(file.material(texture), TEXCOORD_0=first, TEXCOORD_1=second))
        assert color_at(load(file.write(tmp_path / "a.glb")), 0, 0) == GREEN

    def test_a_texture_without_coordinates_is_left_out(self, tmp_path: Path) -> None:
        file = Gltf()
        material = file.material(file.texture(halves(RED, GREEN)), factor=[0, 0, 1, 1])
        file.shown(file.square(material, TEXCOORD_0=None))
        model = load(file.write(tmp_path / "a.glb"))
        assert color_at(model, 0, 0) == BLUE
        assert model.notes == ("a.glb: textures without texture coordinates are left out",)

    @pytest.mark.parametrize(
        ("transform", "corners"),
        [
            ({"offset": [0.5, 0]}, (GREEN, RED, WHITE, BLUE)),
            ({"offset": [0, 0.5]}, (BLUE, WHITE, RED, GREEN)),
            ({"scale": [-1, 1]}, (GREEN, RED, WHITE, BLUE)),
            # Coordinates turn counter-clockwise, so the picture turns clockwise.
            ({"rotation": math.pi / 2}, (BLUE, RED, WHITE, GREEN)),
            ({"rotation": math.pi / 2, "offset": [0.5, 0]}, (WHITE, GREEN, BLUE, RED)),
            ({"rotation": math.pi / 2, "scale": [-1, 1]}, (RED, BLUE, GREEN, WHITE)),
        ],
    )
    def test_a_transform_of_coordinates(
        self, tmp_path: Path, transform: Any, corners: tuple[Any, ...]
    ) -> None:
        file = Gltf(extensionsRequired=["KHR_texture_transform"])
        texture = file.texture(quarters()) | {"extensions": {"KHR_texture_transform": transform}}
        file.shown(file.square(file.material(texture)))
        model = load(file.write(tmp_path / "a.glb"))
        places = [(-25, 25), (25, 25), (-25, -25), (25, -25)]
        assert tuple(color_at(model, *place) for place in places) == corners

    @pytest.mark.parametrize(
        ("sampler", "columns"),
        [
            ({}, (RED, GREEN, RED, GREEN, RED, GREEN)),
            ({"wrapS": CLAMP}, (RED, RED, RED, GREEN, GREEN, GREEN)),
            ({"wrapS": MIRROR}, (GREEN, RED, RED, GREEN, GREEN, RED)),
            ({"wrapT": MIRROR}, (RED, GREEN, RED, GREEN, RED, GREEN)),
        ],
    )
    def test_beyond_the_borders(
        self, tmp_path: Path, sampler: Any, columns: tuple[Any, ...]
    ) -> None:
        """Coordinates from -1 to 2."""
        file = Gltf()
        texture = file.texture(halves(RED, GREEN, 8), **sampler)
        coordinates = (3 * SQUARE_UV - 1).astype("<f4")
        file.shown(file.square(file.material(texture), TEXCOORD_0=coordinates))
        model = load(file.write(tmp_path / "a.glb"))
        places = (-42, -25, -8, 8, 25, 42)
        assert tuple(color_at(model, place, 10) for place in places) == columns
        assert model.notes == ()

    def test_a_clamped_picture_has_no_seam(self, tmp_path: Path) -> None:
        file = Gltf()
        texture = file.texture(halves(RED, GREEN, 4), wrapS=CLAMP, wrapT=CLAMP)
        file.shown(file.square(file.material(texture)))
        model = load(file.write(tmp_path / "a.glb"))
        assert color_at(model, -50, 0) == RED
        assert color_at(model, 49, 0) == GREEN

    def test_texels_that_are_not_to_be_smoothed(self, tmp_path: Path) -> None:
        file = Gltf()
        texture = file.texture(halves(RED, GREEN, 2), magFilter=9728)
        file.shown(file.square(file.material(texture)))
        rgb, mask = seen_from_front(load(file.write(tmp_path / "a.glb")))
        np.testing.assert_array_equal(rgb[:, :63][mask[:, :63]], [RED] * 49 * 100)
        np.testing.assert_array_equal(rgb[:, 65:][mask[:, 65:]], [GREEN] * 49 * 100)

    def test_only_textures_that_are_used_are_read(self, tmp_path: Path) -> None:
        file = Gltf()
        file.add("images", uri="missing.png")
        file.add("textures", source=0)
        file.material({"index": 0})
        file.shown(file.square(file.material(factor=[0, 1, 0, 1])))
        assert color_at(load(file.write(tmp_path / "a.glb")), 0, 0) == GREEN


class TestTransparency:
    @pytest.mark.parametrize("mode", ["MASK", "BLEND"])
    def test_what_a_texture_hides_is_not_there(self, tmp_path: Path, mode: str) -> None:
        file = Gltf()
        material = file.material(file.texture(disc()), alphaMode=mode)
        file.shown(file.square(material, TEXCOORD_0=SQUARE_UV))
        model = load(file.write(tmp_path / "a.glb"))
        rgb, mask = seen_from_front(model)
        rows, columns = np.mgrid[:128, :128] + 0.5 - 64
        expected = np.hypot(rows, columns) < 37.5
        border = np.abs(np.hypot(rows, columns) - 37.5) < 1.6
        np.testing.assert_array_equal(mask[~border], expected[~border])
        assert mask.sum() == pytest.approx(math.pi * 37.5**2, rel=0.01)
        np.testing.assert_array_equal(rgb[mask], [(0, 200, 0)] * mask.sum())
        assert model.diameter == pytest.approx(75, abs=1.6)
        assert model.notes == ()

    def test_a_closed_box_with_round_windows(self, tmp_path: Path) -> None:
        """Neighbours are divided alike: no face of the rest has an edge without its neighbour."""
        box = trimesh.creation.box((0.1, 0.1, 0.1))
        file = Gltf()
        texture = np.where(disc() == (0, 200, 0, 255), 0, 255).astype(np.uint8)
        texture[..., 3] = 255 - disc()[..., 3]
        coordinates = (box.vertices[:, :2] / 0.1 + 0.5).astype("<f4")
        primitive = {
            "attributes": {
                "POSITION": file.accessor(box.vertices.astype("<f4")),
                "TEXCOORD_0": file.accessor(coordinates),
            },
            "indices": file.accessor(box.faces.astype("<u2").ravel()),
            "material": file.material(file.texture(texture), alphaMode="MASK"),
        }
        file.shown(primitive)
        mesh = load(file.write(tmp_path / "a.glb")).mesh
        solid = trimesh.Trimesh(mesh.vertices, mesh.faces)
        loops = solid.outline().entities
        assert len(loops) == 2
        boundary = solid.vertices[loops[0].points]
        np.testing.assert_allclose(np.hypot(*boundary[:, :2].T), 37.5, atol=1.2)
        assert solid.area == pytest.approx(6e4 - 2 * math.pi * 37.5**2, rel=2e-3)

    @pytest.mark.parametrize(
        ("alpha", "tint", "factor", "cutoff", "left", "right"),
        [
            ((255, 100), 1.0, 1.0, None, RED, None),
            ((255, 100), 1.0, 1.0, 0.3, RED, GREEN),
            ((255, 200), 1.0, 0.6, None, RED, None),
            ((255, 200), 0.6, 1.0, None, RED, None),
            ((255, 200), 0.8, 0.8, 0.6, RED, None),
        ],
    )
    def test_texture_factor_and_vertex_alpha_multiply(
        self,
        tmp_path: Path,
        alpha: tuple[int, int],
        tint: float,
        factor: float,
        cutoff: float | None,
        left: Any,
        right: Any,
    ) -> None:
        file = Gltf()
        texture = file.texture(halves((*RED, alpha[0]), (*GREEN, alpha[1])))
        fields = {"alphaMode": "MASK"} | ({} if cutoff is None else {"alphaCutoff": cutoff})
        material = file.material(texture, factor=[1, 1, 1, factor], **fields)
        colors = np.array([[1, 1, 1, tint]] * 4, "<f4")
        file.shown(file.square(material, COLOR_0=colors))
        # What holds the box, so that places are the same whatever is hidden.
        file.shown(file.square(file.material(factor=[0, 0, 1, 1])), translation=[0, 0, -0.01])
        model = load(file.write(tmp_path / "a.glb"))
        assert color_at(model, -30, 0) == (left or BLUE)
        assert color_at(model, 30, 0) == (right or BLUE)

    def test_vertex_alpha_is_cut_where_it_crosses_the_cutoff(self, tmp_path: Path) -> None:
        file = Gltf()
        colors = np.array([(1, 0, 0, 0), (1, 0, 0, 1), (1, 0, 0, 1), (1, 0, 0, 0)], "<f4")
        material = file.material(alphaMode="MASK", alphaCutoff=0.25)
        file.shown(file.square(material, COLOR_0=colors))
        model = load(file.write(tmp_path / "a.glb"))
        np.testing.assert_allclose(model.bounds, [[-25, -50, 0], [50, 50, 0]], atol=1e-3)
        assert color_at(model, 0, 0) == RED

    @pytest.mark.parametrize("mode", ["BLEND", "MASK"])
    @pytest.mark.parametrize("textured", [False, True])
    def test_a_part_of_alpha_0_is_not_there(
        self, tmp_path: Path, mode: str, textured: bool
    ) -> None:
        file = Gltf()
        texture = file.texture(halves(RED, GREEN)) if textured else None
        hidden = file.material(texture, factor=[1, 0, 0, 0], alphaMode=mode)
        file.shown(file.square(hidden), translation=[0, 0, 0.05])
        file.shown(file.square(file.material(factor=[0, 0, 1, 1])))
        model = load(file.write(tmp_path / "a.glb"))
        np.testing.assert_allclose(model.bounds[:, 2], 0)
        assert color_at(model, 30, 0) == BLUE
        alone = Gltf()
        alone.shown(alone.square(alone.material(factor=[1, 1, 1, 0], alphaMode=mode)))
        assert "all of it is transparent" in refusal(alone.write(tmp_path / "b.glb"))

    def test_alpha_counts_for_nothing_where_a_material_is_opaque(self, tmp_path: Path) -> None:
        file = Gltf()
        material = file.material(file.texture(halves((*RED, 0), (*GREEN, 0))), [1, 1, 1, 0])
        file.shown(file.square(material))
        model = load(file.write(tmp_path / "a.glb"))
        assert color_at(model, -30, 0) == RED
        assert model.notes == ()

    def test_glass_is_shown_opaque_and_said_to_be(self, tmp_path: Path) -> None:
        file = Gltf()
        file.shown(file.square(file.material(factor=[0, 1, 0, 0.3], alphaMode="BLEND")))
        model = load(file.write(tmp_path / "a.glb"))
        assert color_at(model, 0, 0) == GREEN
        assert model.notes == ("a.glb: transparency is left out",)

    def test_many_holes_are_cut_coarsely_within_a_limit(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cad_models._files.gltf.reader.MOST_CUT_FACES", 4000)
        texture = np.random.default_rng(0).integers(0, 2, (256, 256, 4)).astype(np.uint8) * 255
        file = Gltf()
        file.shown(file.square(file.material(file.texture(texture), alphaMode="MASK")))
        model = load(file.write(tmp_path / "a.glb"))
        assert 0 < len(model.mesh.faces) <= 8000
        assert model.notes == (
            "a.glb: what is transparent is cut out coarsely, since it has so many edges",
        )
        _, mask = seen_from_front(model)
        assert 0.2 < mask.sum() / 100**2 <= 1


class TestGeometry:
    def box(self, positions: NDArray[Any], normalized: bool = False, **node: Any) -> Gltf:
        file = Gltf(extensionsRequired=["KHR_mesh_quantization"])
        box = trimesh.creation.box((2, 2, 2))
        padded = np.zeros((8, 4), positions.dtype)
        padded[:, :3] = positions
        view = file.view(padded.tobytes(), byteStride=4 * positions.dtype.itemsize)
        accessor = file.accessor(positions, bufferView=view, normalized=normalized, type="VEC3")
        indices = file.accessor(box.faces.astype("<u4").ravel())
        file.shown({"attributes": {"POSITION": accessor}, "indices": indices}, **node)
        return file

    @pytest.mark.parametrize(
        ("kind", "normalized", "reach", "scale"),
        [
            ("<f4", False, 0.05, 1.0),
            ("<i2", True, 32767, 0.05),
            ("i1", True, 127, 0.05),
            ("<i2", False, 1000, 0.00005),
            ("i1", False, 100, 0.0005),
        ],
    )
    def test_positions_in_every_kind_of_number(
        self, tmp_path: Path, kind: str, normalized: bool, reach: float, scale: float
    ) -> None:
        corners = trimesh.creation.box((2, 2, 2)).vertices
        plain = load(self.box((corners * 0.05).astype("<f4")).write(tmp_path / "plain.glb"))
        numbers = (corners * reach).astype(kind)
        file = self.box(numbers, normalized, scale=[scale] * 3)
        model = load(file.write(tmp_path / "a.glb"))
        np.testing.assert_allclose(model.mesh.vertices, plain.mesh.vertices, atol=1e-4)
        np.testing.assert_array_equal(model.mesh.faces, plain.mesh.faces)
        np.testing.assert_allclose(model.mesh.normals, plain.mesh.normals, atol=1e-6)

    @pytest.mark.parametrize(("kind", "scale"), [("<i2", 32767), ("i1", 127), ("<f4", 1)])
    def test_normals_in_every_kind_of_number(self, tmp_path: Path, kind: str, scale: float) -> None:
        file = Gltf()
        normals = np.array([[0.6 * scale, 0, 0.8 * scale]] * 4).astype(kind)
        accessor = file.accessor(normals, normalized=kind != "<f4")
        file.shown(file.square(NORMAL=accessor), scale=[2, 1, 1])
        model = load(file.write(tmp_path / "a.glb"))
        expected = np.array([0.3, 0, 0.8]) / np.hypot(0.3, 0.8)
        np.testing.assert_allclose(model.mesh.normals, [expected] * 4, atol=0.01)

    def test_a_sparse_accessor(self, tmp_path: Path) -> None:
        file = Gltf()
        moved = np.array([[0.05, 0.05, 0.03]], "<f4")
        sparse = {
            "count": 1,
            "indices": {"bufferView": file.view(np.array([2], "<u2").tobytes()),
                        "componentType": 5123},
            "values": {"bufferView": file.view(moved.tobytes())},
        }  # fmt: skip
        file.shown(file.square(POSITION=file.accessor(SQUARE, sparse=sparse)))
        mesh = load(file.write(tmp_path / "a.glb")).mesh
        expected = SQUARE.copy()
        expected[2, 2] = 0.03
        np.testing.assert_allclose(
            np.unique(mesh.vertices, axis=0), np.unique(1000 * expected, axis=0), atol=1e-4
        )

    def test_a_sparse_accessor_of_zeros(self, tmp_path: Path) -> None:
        file = Gltf()
        sparse = {
            "count": 3,
            "indices": {"bufferView": file.view(bytes([1, 2, 3])), "componentType": 5121},
            "values": {"bufferView": file.view((SQUARE - SQUARE[0])[1:].tobytes())},
        }
        accessor = file.add("accessors", componentType=5126, count=4, type="VEC3", sparse=sparse)
        file.shown(file.square(POSITION=accessor))
        model = load(file.write(tmp_path / "a.glb"))
        np.testing.assert_allclose(model.bounds, [[0, 0, 0], [100, 100, 0]], atol=1e-4)

    @pytest.mark.parametrize("kind", ["u1", "<u2", "<u4", None])
    @pytest.mark.parametrize("mode", ["triangles", "strip", "fan"])
    def test_indices_and_modes(self, tmp_path: Path, kind: str | None, mode: str) -> None:
        order = {
            "triangles": [0, 1, 2, 0, 2, 3], "strip": [3, 0, 2, 1], "fan": [0, 1, 2, 3],
        }[mode]  # fmt: skip
        file = Gltf()
        primitive = file.square(TEXCOORD_0=None)
        primitive["mode"] = {"triangles": 4, "strip": 5, "fan": 6}[mode]
        if kind is None:
            del primitive["indices"]
            primitive["attributes"]["POSITION"] = file.accessor(SQUARE[order])
        else:
            primitive["indices"] = file.accessor(np.array(order, kind))
        file.shown(primitive)
        mesh = load(file.write(tmp_path / "a.glb")).mesh
        corners = mesh.vertices[mesh.faces]
        areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        np.testing.assert_allclose(areas, [[0, 0, 1e4]] * 2, rtol=1e-5)

    def test_points_and_lines_alone_are_refused(self, tmp_path: Path) -> None:
        for mode in range(4):
            file = Gltf()
            file.shown(file.square() | {"mode": mode})
            assert "no triangles in its scene but points or lines" in refusal(
                file.write(tmp_path / "a.glb")
            )

    def test_nodes_within_nodes(self, tmp_path: Path) -> None:
        """Matrices by columns, quaternions with w last, scaled before turned before moved."""
        file = Gltf()
        inner = file.shown(file.square(), translation=[0.1, 0, 0])
        turn = [0, 0, math.sqrt(0.5), math.sqrt(0.5)]
        middle = file.add("nodes", rotation=turn, scale=[2, 1, 1], children=[inner])
        matrix = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0.5, 1]
        outer = file.add("nodes", matrix=matrix, children=[middle])
        file.root |= {"scenes": [{"nodes": [outer]}], "scene": 0}
        model = load(file.write(tmp_path / "a.glb"))
        np.testing.assert_allclose(model.bounds, [[-50, 100, 500], [50, 300, 500]], atol=1e-3)

    def test_mirrored_parts_face_outward(self, tmp_path: Path) -> None:
        scene = trimesh.Scene()
        ball = trimesh.creation.icosphere(subdivisions=2, radius=0.05)
        ball.vertex_normals  # noqa: B018 - so that they are written
        scene.add_geometry(ball)
        mirror = np.diag([-1.0, 2, 1, 1])
        mirror[:3, 3] = [0.2, 0, 0]
        scene.add_geometry(ball, transform=mirror)
        scene.export(tmp_path / "a.glb", include_normals=True)
        mesh = load(tmp_path / "a.glb").mesh
        both = trimesh.Trimesh(mesh.vertices, mesh.faces)
        assert both.volume == pytest.approx(3e9 * ball.volume, rel=1e-4)
        centre = np.where(mesh.vertices[:, :1] > 100, [[200, 0, 0]], [[0, 0, 0]])
        slopes = np.where(mesh.vertices[:, :1] > 100, [[1, 0.25, 1]], [[1, 1, 1]])
        outward = (mesh.vertices - centre) * slopes
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        np.testing.assert_allclose(mesh.normals, outward, atol=0.02)

    @pytest.mark.parametrize(
        ("scene", "expected"), [({"scene": 1}, 100), ({"scene": 0}, 200), ({}, None)]
    )
    def test_only_the_default_scene_is_shown(
        self, tmp_path: Path, scene: Any, expected: float | None
    ) -> None:
        file = Gltf(**scene)
        big = file.shown(file.square(), scale=[2, 2, 2])
        small = file.shown(file.square(), translation=[0.5, 0, 0])
        file.root["scenes"] = [{"nodes": [big]}, {"nodes": [small]}]
        model = load(file.write(tmp_path / "a.glb"))
        width = np.ptp(model.bounds[:, 0])
        assert width == pytest.approx(650 if expected is None else expected, rel=1e-5)
        del file.root["scenes"]
        file.root.pop("scene", None)
        assert np.ptp(load(file.write(tmp_path / "b.glb")).bounds[:, 0]) == pytest.approx(650)

    def test_a_node_that_is_not_visible(self, tmp_path: Path) -> None:
        file = Gltf(extensionsRequired=["KHR_node_visibility"])
        file.shown(file.square())
        inner = file.shown(file.square(), translation=[9, 0, 0])
        hidden = {"KHR_node_visibility": {"visible": False}}
        outer = file.add("nodes", children=[inner], extensions=hidden)
        file.root["scenes"] = [{"nodes": [0, outer]}]
        assert np.ptp(load(file.write(tmp_path / "a.glb")).bounds[:, 0]) == pytest.approx(100)

    def test_instances(self, tmp_path: Path) -> None:
        file = Gltf(extensionsRequired=["EXT_mesh_gpu_instancing"])
        attributes = {
            "TRANSLATION": file.accessor(np.array([(0, 0, 0), (0.2, 0, 0)], "<f4")),
            "SCALE": file.accessor(np.array([(1, 1, 1), (2, 1, 1)], "<f4")),
        }
        instances = {"EXT_mesh_gpu_instancing": {"attributes": attributes}}
        file.shown(file.square(), extensions=instances, translation=[0, 0.1, 0])
        model = load(file.write(tmp_path / "a.glb"))
        np.testing.assert_allclose(model.bounds, [[-50, 50, 0], [300, 150, 0]], atol=1e-3)

    def test_a_skin_at_rest(self, tmp_path: Path) -> None:
        """Its joints place it, and not its node."""
        file = Gltf()
        inverse = np.tile(np.eye(4, dtype="<f4"), (2, 1, 1))
        inverse[1, 3, :3] = [0, -0.05, 0]  # by columns
        file.add("nodes", translation=[1, 0, 0], children=[1])
        file.add("nodes", translation=[0, 0.2, 0])
        skin = file.add("skins", joints=[0, 1], inverseBindMatrices=file.accessor(inverse))
        joints = np.array([[0, 1, 0, 0]] * 4, "u1")
        weights = np.array([(255, 0, 0, 0)] * 2 + [(0, 255, 0, 0)] * 2, "u1")
        primitive = file.square(JOINTS_0=joints, WEIGHTS_0=file.accessor(weights, normalized=True))
        node = file.shown(primitive, skin=skin, translation=[77, 0, 0])
        file.root["scenes"] = [{"nodes": [0, node]}]
        model = load(file.write(tmp_path / "a.glb"))
        np.testing.assert_allclose(model.bounds, [[950, -50, 0], [1050, 200, 0]], atol=1e-3)
        assert model.notes == ("a.glb: it is shown at rest, without animation",)

    @pytest.mark.parametrize("by_node", [False, True])
    def test_morph_targets_at_their_weights(self, tmp_path: Path, by_node: bool) -> None:
        file = Gltf()
        up = np.array([(0, 0, 0)] * 3 + [(0, 0.1, 0)], "<f4")
        primitive = file.square() | {"targets": [{"POSITION": file.accessor(up)}]}
        file.shown(primitive, **({"weights": [0.5]} if by_node else {}))
        if not by_node:
            file.root["meshes"][0]["weights"] = [0.5]
        model = load(file.write(tmp_path / "a.glb"))
        np.testing.assert_allclose(model.bounds[1], [50, 100, 0], atol=1e-3)
        assert model.notes == ("a.glb: it is shown at rest, without animation",)

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.tuples(*[st.floats(0.01, 0.4)] * 3), min_size=1, max_size=4),
        st.integers(0, 2**32 - 1),
        st.sampled_from(["glb", "gltf"]),
    )
    def test_boxes_of_trimesh_come_back(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        sizes: list[tuple[float, float, float]],
        seed: int,
        kind: str,
    ) -> None:
        rng = np.random.default_rng(seed)
        scene = trimesh.Scene()
        for size in sizes:
            placed = trimesh.transformations.random_rotation_matrix(rng.random(3))
            placed[:3, 3] = rng.uniform(-0.3, 0.3, 3)
            scene.add_geometry(trimesh.creation.box(size), transform=placed)
        folder = tmp_path_factory.mktemp("boxes")
        if kind == "glb":
            scene.export(folder / "a.glb")
        else:
            for name, content in scene.export(file_type="gltf").items():
                (folder / name.replace("model.gltf", "a.gltf")).write_bytes(content)
        model = load(folder / f"a.{kind}")
        assert_same_triangles(
            model.mesh.vertices[model.mesh.faces], 1000 * scene.to_mesh().triangles
        )


def assert_same_triangles(found: NDArray[np.floating], expected: NDArray[np.floating]) -> None:
    """(F, 3, 3) each, in any order, each from any of its corners."""
    turned = np.concatenate([np.roll(expected, turn, axis=1) for turn in range(3)])
    apart, match = cKDTree(turned.reshape(-1, 9)).query(found.reshape(-1, 9))
    assert apart.max() < 2e-3
    assert sorted(match % len(expected)) == list(range(len(found)))


class TestContainers:
    def write_apart(self, folder: Path, buffer: str, image: str) -> Path:
        file = Gltf()
        material = file.material({"index": file.add("textures", source=0)})
        file.add("images", uri=image)
        file.shown(file.square(material))
        root = file.root | {"buffers": [{"byteLength": len(file.blob), "uri": buffer}]}
        (folder / "sub").mkdir()
        (folder / "my numbers.bin").write_bytes(file.blob)
        (folder / "sub" / "ü 1.png").write_bytes(encoded(quarters()))
        (folder / "a.gltf").write_text(json.dumps(root))
        return folder / "a.gltf"

    @pytest.mark.parametrize(
        ("buffer", "image"),
        [
            ("my%20numbers.bin", "sub/%C3%BC%201.png"),
            ("my numbers.bin", "sub/ü 1.png"),
            ("./my%20numbers.bin", "sub\\ü 1.png"),
        ],
    )
    def test_files_beside_it(self, tmp_path: Path, buffer: str, image: str) -> None:
        model = load(self.write_apart(tmp_path, buffer, image))
        assert color_at(model, -25, 25) == RED
        assert color_at(model, 25, -25) == WHITE
        hashes = {model.sha256}
        (tmp_path / "sub" / "ü 1.png").write_bytes(encoded(halves(RED, RED)))
        hashes.add(load(tmp_path / "a.gltf").sha256)
        assert len(hashes) == 2

    @pytest.mark.parametrize(
        ("buffer", "image"),
        [
            ("missing.bin", "sub/ü 1.png"),
            ("my numbers.bin", "../outside.png"),
            ("my numbers.bin", "https://example.org/a.png"),
            ("my numbers.bin", "/etc/passwd"),
        ],
    )
    def test_files_that_are_not_there(self, tmp_path: Path, buffer: str, image: str) -> None:
        inner = tmp_path / "inner"
        inner.mkdir()
        (tmp_path / "outside.png").write_bytes(encoded(quarters()))
        assert "which cannot be read from its folder" in refusal(
            self.write_apart(inner, buffer, image)
        )

    def test_data_within_it(self, tmp_path: Path) -> None:
        file = Gltf()
        text = base64.b64encode(encoded(quarters())).decode().rstrip("=")
        image = file.add("images", uri=f"data:image/png;base64,{text}")
        file.shown(file.square(file.material({"index": file.add("textures", source=image)})))
        model = load(file.write(tmp_path / "a.gltf"))
        assert color_at(model, 25, 25) == GREEN

    def test_either_container_by_either_name(self, tmp_path: Path) -> None:
        file = Gltf()
        file.shown(file.square())
        file.write(tmp_path / "a.glb").rename(tmp_path / "b.gltf")
        file.write(tmp_path / "c.gltf").rename(tmp_path / "d.glb")
        assert len(load(tmp_path / "b.gltf").mesh.faces) == 2
        assert len(load(tmp_path / "d.glb").mesh.faces) == 2
        content = (tmp_path / "d.glb").read_bytes()
        (tmp_path / "e.gltf").write_bytes(b"\xef\xbb\xbf" + content)
        assert len(load(tmp_path / "e.gltf").mesh.faces) == 2

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("KHR_draco_mesh_compression", "export it without Draco compression"),
            ("EXT_meshopt_compression", "export it without meshopt compression"),
            ("KHR_texture_basisu", "export it with PNG or JPEG textures"),
            ("EXT_something_else", "export it without this extension"),
        ],
    )
    def test_extensions_that_it_needs(self, tmp_path: Path, name: str, words: str) -> None:
        file = Gltf(extensionsRequired=[name], extensionsUsed=[name])
        file.shown(file.square())
        text = refusal(file.write(tmp_path / "a.glb"))
        assert name in text
        assert text.endswith(words)

    def test_extensions_that_it_can_do_without(self, tmp_path: Path) -> None:
        names = ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_texture_basisu"]
        file = Gltf(extensionsUsed=names)
        ktx = file.add("images", uri="missing.ktx2")
        texture = file.add(
            "textures",
            source=file.image(halves(RED, GREEN)),
            extensions={"KHR_texture_basisu": {"source": ktx}},
        )
        primitive = file.square(file.material({"index": texture}))
        primitive["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0}}
        file.root["bufferViews"][1]["extensions"] = {"EXT_meshopt_compression": {"buffer": 7}}
        file.shown(primitive)
        model = load(file.write(tmp_path / "a.glb"))
        assert color_at(model, 30, 0) == GREEN

    def test_extensions_without_what_takes_their_place(self, tmp_path: Path) -> None:
        file = Gltf()
        primitive = file.square(
            POSITION=file.add("accessors", componentType=5126, count=4, type="VEC3")
        )
        primitive["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0}}
        file.shown(primitive)
        assert "needs Draco" in refusal(file.write(tmp_path / "a.glb"))
        file = Gltf()
        texture = file.add("textures", extensions={"KHR_texture_basisu": {"source": 0}})
        file.add("images", uri="missing.ktx2")
        file.shown(file.square(file.material({"index": texture})))
        assert "needs KTX2" in refusal(file.write(tmp_path / "b.glb"))
        file = Gltf()
        file.shown(file.square())
        for view in file.root["bufferViews"]:
            view |= {"buffer": 1, "extensions": {"EXT_meshopt_compression": {"buffer": 0}}}
        root = file.root | {"buffers": [{"byteLength": 8}, {"byteLength": len(file.blob)}]}
        path = tmp_path / "c.glb"
        path.write_bytes(glb(json.dumps(root).encode(), bytes(8)))
        assert "needs meshopt" in refusal(path)

    def test_it_loads_without_trimesh_scipy_and_pillow(self, tmp_path: Path) -> None:
        """As inside Blender, whose Python has none of them."""
        file = Gltf()
        file.shown(file.square(file.material(file.texture(disc()), alphaMode="MASK")))
        path = file.write(tmp_path / "a.glb")
        code = (
            "import sys; sys.modules.update(trimesh=None, scipy=None, PIL=None); import cad_models;"
            "print(len(cad_models.load_models(sys.argv[1:])[0].mesh.faces))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, f"a={path}"], check=True, capture_output=True, text=True
        )
        assert int(done.stdout) == len(load(path).mesh.faces)

    def test_older_versions(self, tmp_path: Path) -> None:
        path = tmp_path / "a.gltf"
        path.write_text('{"asset": {"version": "1.0"}, "meshes": {}}')
        assert "is of glTF version 1.0; export it as glTF 2.0" in refusal(path)
