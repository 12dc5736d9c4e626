"""What becomes of a mesh file: its arrays, or one sentence on what is wrong with it."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from cad_models import CadModel, ModelError, load_models

RED, GREEN = (255, 0, 0), (0, 255, 0)


def load(path: Path, **options: Any) -> CadModel:
    [model] = load_models([f"widget={path}"], **options)
    return model


def message(path: Path, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        load(path, **options)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text


def corners(model: CadModel) -> np.ndarray:
    """(F, 3, 3) the triangles' corners in an order of their own."""
    triangles = model.mesh.vertices[model.mesh.faces]
    first = np.lexsort(triangles.transpose(2, 1, 0)[::-1], axis=0)[0]
    turned = np.stack([np.roll(t, -f, axis=0) for t, f in zip(triangles, first, strict=True)])
    return turned[np.lexsort(turned.reshape(len(turned), 9).T[::-1])]


def box() -> trimesh.Trimesh:
    return trimesh.creation.box((60, 40, 20))


def white(picture: np.ndarray) -> trimesh.visual.material.PBRMaterial:
    """A texture alone; trimesh's own material multiplies it by 0.4."""
    return trimesh.visual.material.PBRMaterial(baseColorTexture=PIL.Image.fromarray(picture))


def write_obj(folder: Path, materials: str, body: str) -> Path:
    (folder / "part.mtl").write_text(materials)
    path = folder / "part.obj"
    path.write_text("mtllib part.mtl\n" + body)
    return path


TRIANGLE = "v 0 0 0\nv 90 0 0\nv 0 90 0\nvt 0 0\nvt 1 0\nvt 0 1\n"
TEXTURED_TRIANGLE = TRIANGLE + "usemtl a\nf 1/1 2/2 3/3\n"


class TestFormats:
    @pytest.mark.parametrize("kind", ["stl", "stl_ascii", "ply", "obj", "off", "glb", "3mf"])
    def test_the_same_box_in_every_format(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / f"box.{kind.removesuffix('_ascii')}"
        box().export(path, file_type=kind)
        model = load(path, units="mm")
        assert len(model.mesh.faces) == 12
        assert len(model.mesh.vertices) == 24
        assert model.diameter == pytest.approx(np.linalg.norm([60, 40, 20]), rel=1e-5)
        np.testing.assert_allclose(model.bounds, [[-30, -20, -10], [30, 20, 10]], atol=1e-4)
        triangles = model.mesh.vertices[model.mesh.faces].astype(float)
        across = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        outward = across / np.linalg.norm(across, axis=1, keepdims=True)
        for corner in range(3):
            normals = model.mesh.normals[model.mesh.faces[:, corner]]
            np.testing.assert_allclose(normals, outward, atol=1e-6)
        assert (np.einsum("ij,ij->i", outward, triangles.mean(axis=1)) > 0).all()
        assert (model.mesh.colors == 190).all()
        assert model.origin == path.name
        assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()

    def test_plain_formats_load_without_trimesh_scipy_and_pillow(self, tmp_path: Path) -> None:
        """As inside Blender, whose Python has none of them."""
        for kind in ("stl", "obj", "off", "ply"):
            box().export(tmp_path / f"box.{kind}")
        code = (
            "import sys; sys.modules.update(trimesh=None, scipy=None, PIL=None); import cad_models;"
            "print(*(len(m.mesh.faces) for m in cad_models.load_models(sys.argv[1:])))"
        )
        objects = [f"{kind}={tmp_path / f'box.{kind}'}" for kind in ("stl", "obj", "off", "ply")]
        done = subprocess.run(
            [sys.executable, "-c", code, *objects], check=True, capture_output=True, text=True
        )
        assert done.stdout.split() == ["12"] * 4

    def test_array_types(self, tmp_path: Path) -> None:
        box().export(tmp_path / "box.stl")
        mesh = load(tmp_path / "box.stl").mesh
        assert mesh.vertices.dtype == mesh.normals.dtype == np.float32
        assert mesh.faces.dtype == np.int32
        assert mesh.colors.dtype == np.uint8
        assert mesh.texture is None
        assert mesh.texture_coordinates is None

    def test_3mf_says_its_unit(self, tmp_path: Path) -> None:
        import zipfile

        path = tmp_path / "box.3mf"
        box().export(path)
        changed = tmp_path / "inches.3mf"
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(changed, "w") as target:
            for name in source.namelist():
                content = source.read(name)
                target.writestr(name, content.replace(b'"millimeter"', b'"inch"'))
        expected = 25.4 * np.linalg.norm([60, 40, 20])
        assert load(changed).diameter == pytest.approx(expected, rel=1e-5)
        assert load(changed, units="mm").diameter == pytest.approx(expected / 25.4, rel=1e-5)

    def test_parts_of_a_scene_are_placed(self, tmp_path: Path) -> None:
        scene = trimesh.Scene()
        scene.add_geometry(box())
        mirror = np.diag([-1.0, 1, 1, 1])
        mirror[:3, 3] = [100, 0, 0]
        scene.add_geometry(box(), transform=mirror)
        scene.export(tmp_path / "two.glb")
        model = load(tmp_path / "two.glb", units="mm")
        assert len(model.mesh.faces) == 24
        np.testing.assert_allclose(model.bounds, [[-30, -20, -10], [130, 20, 10]], atol=1e-4)
        triangles = model.mesh.vertices[model.mesh.faces].astype(float)
        volume = np.einsum("ij,ij->", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2]))
        assert volume / 6 == pytest.approx(2 * 60 * 40 * 20, rel=1e-4)

    def test_polygons_become_triangles(self, tmp_path: Path) -> None:
        path = tmp_path / "square.obj"
        path.write_text("v 0 0 0\nv 50 0 0\nv 50 50 0\nv 0 50 0\nf 1 2 3 4\n")
        assert len(load(path).mesh.faces) == 2
        path = tmp_path / "square.ply"
        path.write_text(
            "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\n"
            "property float z\nelement face 1\nproperty list uchar int vertex_indices\n"
            "end_header\n0 0 0\n50 0 0\n50 50 0\n0 50 0\n4 0 1 2 3\n"
        )
        assert len(load(path).mesh.faces) == 2

    @pytest.mark.parametrize("kind", ["ascii", "binary_little_endian", "binary_big_endian"])
    def test_every_encoding_of_ply(self, tmp_path: Path, kind: str) -> None:
        header = (
            f"ply\r\nformat {kind} 1.0\r\ncomment by hand\r\nelement vertex 3\r\n"
            "property double x\r\nproperty double y\r\nproperty double z\r\n"
            "element face 1\r\nproperty list uchar uint vertex_index\r\nend_header\r\n"
        ).replace("\r\n", "\n" if kind != "ascii" else "\r\n")
        vertices, face = np.array([[0, 0, 0], [50, 0, 0], [0, 50, 0.5]]), np.array([0, 1, 2])
        order = ">" if kind.endswith("big_endian") else "<"
        if kind == "ascii":
            body = b"0 0 0\n50 0 0\n0 50 0.5\n3 0 1 2\n"
        else:
            body = vertices.astype(f"{order}f8").tobytes() + b"\x03"
            body += face.astype(f"{order}u4").tobytes()
        path = tmp_path / "triangle.ply"
        path.write_bytes(header.encode() + body)
        np.testing.assert_array_equal(load(path).mesh.vertices, vertices.astype(np.float32))

    def test_names_in_latin_1_do_no_harm(self, tmp_path: Path) -> None:
        path = tmp_path / "part.obj"
        path.write_bytes(("o Gehäuse\n" + TRIANGLE + "f 1 2 3\n").encode("latin-1"))
        assert len(load(path).mesh.faces) == 1
        path = tmp_path / "part.stl"
        text = box().export(file_type="stl_ascii").replace("solid", "solid Gehäuse", 1)
        path.write_bytes(text.encode("latin-1"))
        assert len(load(path).mesh.faces) == 12


class TestLooks:
    @pytest.mark.parametrize("kind", ["ply", "obj", "glb"])
    def test_vertex_colours(self, tmp_path: Path, kind: str) -> None:
        mesh = box()
        colors = np.random.default_rng(0).integers(0, 256, (8, 3)).astype(np.uint8)
        mesh.visual.vertex_colors = colors
        path = tmp_path / f"box.{kind}"
        mesh.export(path)
        model = load(path, units="mm")
        if kind == "glb":  # trimesh writes the numbers as they are, and they are linear there
            curve = 1.055 * (colors / 255) ** (1 / 2.4) - 0.055
            colors = np.rint(255 * np.where(colors > 0, curve, 0)).astype(np.uint8)
        expected = {tuple(v): tuple(c) for v, c in zip(mesh.vertices.tolist(), colors, strict=True)}
        for vertex, color in zip(model.mesh.vertices.tolist(), model.mesh.colors, strict=True):
            assert tuple(color) == expected[tuple(vertex)]

    def test_face_colours_do_not_blend(self, tmp_path: Path) -> None:
        mesh = box()
        mesh.visual.face_colors = np.repeat([RED, GREEN], 6, axis=0)
        mesh.export(tmp_path / "box.ply")
        model = load(tmp_path / "box.ply")
        by_face = model.mesh.colors[model.mesh.faces]
        assert (by_face == by_face[:, :1]).all()
        assert sorted(map(tuple, by_face[:, 0].tolist())) == [GREEN] * 6 + [RED] * 6

    def test_materials_of_an_obj(self, tmp_path: Path) -> None:
        path = write_obj(
            tmp_path,
            "newmtl a\nKd 1 0 0\nnewmtl b\nKd 0 1 0\n",
            "v 0 0 0\nv 90 0 0\nv 0 90 0\nv 0 0 90\nusemtl a\nf 1 2 3\nusemtl b\nf 1 3 4\n",
        )
        model = load(path)
        height = model.mesh.vertices[model.mesh.faces][:, :, 2].max(axis=1)
        colors = model.mesh.colors[model.mesh.faces][:, 0]
        assert {tuple(color) for color in colors[height == 0].tolist()} == {RED}
        assert {tuple(color) for color in colors[height > 0].tolist()} == {GREEN}

    def test_texture_of_an_obj_is_upright_and_rgb(self, tmp_path: Path) -> None:
        picture = np.zeros((8, 8, 3), dtype=np.uint8)
        picture[:4] = RED
        picture[4:] = GREEN
        PIL.Image.fromarray(picture).save(tmp_path / "skin.png")
        path = write_obj(tmp_path, "newmtl a\nmap_Kd skin.png\n", TEXTURED_TRIANGLE)
        model = load(path)
        np.testing.assert_array_equal(model.mesh.texture, picture)
        coordinates = model.mesh.texture_coordinates
        assert coordinates is not None
        np.testing.assert_allclose(coordinates, model.mesh.vertices[:, :2] / 90, atol=1e-6)
        files = [path, tmp_path / "part.mtl", tmp_path / "skin.png"]
        content = b"".join(file.read_bytes() for file in files)
        assert model.sha256 == hashlib.sha256(content).hexdigest()

    def test_texture_of_a_glb(self, tmp_path: Path) -> None:
        picture = np.random.default_rng(1).integers(0, 256, (8, 16, 3)).astype(np.uint8)
        mesh = box()
        coordinates = np.random.default_rng(2).random((8, 2))
        mesh.visual = trimesh.visual.TextureVisuals(uv=coordinates, material=white(picture))
        mesh.export(tmp_path / "box.glb")
        model = load(tmp_path / "box.glb", units="mm")
        np.testing.assert_array_equal(model.mesh.texture, picture)
        expected = dict(zip(map(tuple, mesh.vertices.tolist()), coordinates, strict=True))
        assert model.mesh.texture_coordinates is not None
        for vertex, uv in zip(
            model.mesh.vertices.tolist(), model.mesh.texture_coordinates, strict=True
        ):
            np.testing.assert_allclose(uv, expected[tuple(vertex)], atol=1e-6)

    def test_parts_with_different_textures_keep_their_looks(self, tmp_path: Path) -> None:
        """Every point of every part shows the colour that its own texture has there."""
        rng = np.random.default_rng(3)
        scene = trimesh.Scene()
        pictures = [np.full((8, 8, 3), RED, np.uint8), np.full((4, 12, 3), GREEN, np.uint8)]
        for index, picture in enumerate(pictures):
            mesh = box()
            mesh.visual = trimesh.visual.TextureVisuals(
                uv=rng.uniform(-2, 3, (8, 2)), material=white(picture)
            )
            scene.add_geometry(
                mesh, transform=trimesh.transformations.translation_matrix([100 * index, 0, 0])
            )
        plain = box()
        plain.visual.vertex_colors = [0, 0, 255, 255]
        scene.add_geometry(plain, transform=trimesh.transformations.translation_matrix([200, 0, 0]))
        scene.export(tmp_path / "three.glb")
        mesh = load(tmp_path / "three.glb", units="mm").mesh
        assert mesh.texture is not None
        assert mesh.texture_coordinates is not None
        weights = rng.dirichlet([1, 1, 1], size=len(mesh.faces))
        uv = np.einsum("fk,fkc->fc", weights, mesh.texture_coordinates[mesh.faces])
        height, width = mesh.texture.shape[:2]
        rows = np.floor((1 - uv[:, 1]) * height).astype(int)
        columns = np.floor(uv[:, 0] * width).astype(int)
        part = np.round(mesh.vertices[mesh.faces].mean(axis=1)[:, 0] / 100).astype(int)
        expected = np.array([RED, GREEN, (0, 0, 255)])[part]
        np.testing.assert_array_equal(mesh.texture[rows, columns], expected)

    def test_a_missing_or_broken_texture_is_an_error(self, tmp_path: Path) -> None:
        path = write_obj(tmp_path, "newmtl a\nmap_Kd skin.png\n", TEXTURED_TRIANGLE)
        assert "refers to 'skin.png'" in message(path)
        (tmp_path / "part.mtl").unlink()
        assert "refers to 'part.mtl'" in message(path)

    def test_a_file_cannot_reach_out_of_its_folder(self, tmp_path: Path) -> None:
        inner = tmp_path / "inner"
        inner.mkdir()
        cv2.imwrite(str(tmp_path / "skin.png"), np.zeros((4, 4, 3), np.uint8))
        path = write_obj(inner, "newmtl a\nmap_Kd ../skin.png\n", TEXTURED_TRIANGLE)
        assert "refers to '../skin.png'" in message(path)

    def test_texture_of_a_ply(self, tmp_path: Path) -> None:
        path = tmp_path / "part.ply"
        path.write_text(
            "ply\nformat ascii 1.0\ncomment TextureFile skin.png\nelement vertex 3\n"
            "property float x\nproperty float y\nproperty float z\n"
            "property float texture_u\nproperty float texture_v\nelement face 1\n"
            "property list uchar int vertex_indices\nend_header\n"
            "0 0 0 0 0\n90 0 0 1 0\n0 90 0 0 1\n3 0 1 2\n"
        )
        assert "refers to 'skin.png'" in message(path)
        (tmp_path / "skin.png").write_bytes(b"not a picture")
        assert "'skin.png', which is not a picture" in message(path)
        picture = np.random.default_rng(4).integers(0, 256, (5, 7, 3)).astype(np.uint8)
        PIL.Image.fromarray(picture).save(tmp_path / "skin.png")
        mesh = load(path).mesh
        np.testing.assert_array_equal(mesh.texture, picture)
        assert mesh.texture_coordinates is not None
        np.testing.assert_allclose(mesh.texture_coordinates, mesh.vertices[:, :2] / 90, atol=1e-6)
        path.write_text(path.read_text().replace("texture_u", "a").replace("texture_v", "b"))
        assert "no texture_u and texture_v" in message(path)


class TestShapes:
    def test_edges_stay_sharp_and_curves_smooth(self, tmp_path: Path) -> None:
        trimesh.creation.cylinder(radius=40, height=60, sections=64).export(tmp_path / "can.stl")
        mesh = load(tmp_path / "can.stl").mesh
        on_side = np.abs(mesh.normals[:, 2]) < 0.5
        outward = mesh.vertices[on_side, :2] / 40
        np.testing.assert_allclose(mesh.normals[on_side, :2], outward, atol=0.02)
        np.testing.assert_allclose(np.abs(mesh.normals[~on_side, 2]), 1, atol=1e-6)
        assert on_side.sum() == 2 * 64

    def test_a_smooth_ball_has_one_vertex_per_point(self, tmp_path: Path) -> None:
        ball = trimesh.creation.icosphere(subdivisions=3, radius=50)
        ball.export(tmp_path / "ball.stl")
        mesh = load(tmp_path / "ball.stl").mesh
        assert len(mesh.vertices) == len(ball.vertices)
        np.testing.assert_allclose(mesh.normals, mesh.vertices / 50, atol=5e-3)

    def test_a_closed_mesh_that_is_inside_out_is_turned(self, tmp_path: Path) -> None:
        right, wrong = box(), box()
        wrong.invert()
        right.export(tmp_path / "right.ply")
        wrong.export(tmp_path / "wrong.ply")
        turned, expected = load(tmp_path / "wrong.ply"), load(tmp_path / "right.ply")
        np.testing.assert_array_equal(corners(turned), corners(expected))

    def test_normals_of_the_file_are_kept_where_they_are_usable(self, tmp_path: Path) -> None:
        path = tmp_path / "part.obj"
        points = "v 0 0 0\nv 90 0 0\nv 0 90 0\n"
        path.write_text(points + "vn 0.6 0 0.8\nf 1//1 2//1 3//1\n")
        np.testing.assert_allclose(load(path).mesh.normals, [[0.6, 0, 0.8]] * 3, atol=1e-6)
        path.write_text(points + "vn 0 0 -1\nf 1//1 2//1 3//1\n")
        np.testing.assert_allclose(load(path).mesh.normals, [[0, 0, 1]] * 3, atol=1e-6)

    def test_useless_faces_and_vertices_go(self, tmp_path: Path) -> None:
        path = tmp_path / "part.obj"
        path.write_text(
            "v 0 0 0\nv 90 0 0\nv 0 90 0\nv 45 0 0\nv 900 0 0\n"
            "f 1 2 3\nf 2 3 1\nf 1 1 2\nf 1 4 2\nf 3 2 1\n"
        )
        model = load(path)
        assert len(model.mesh.faces) == 2  # the two sides of one sheet
        assert len(np.unique(model.mesh.vertices, axis=0)) == 3
        assert model.diameter == pytest.approx(np.hypot(90, 90))


class TestBadFiles:
    def test_missing_folder_and_unknown_kind(self, tmp_path: Path) -> None:
        assert "does not exist" in message(tmp_path / "part.stl")
        assert "is not a regular file" in message(tmp_path)
        (tmp_path / "part.igs").write_text("S      1")
        assert "export it as one of .stl, .ply" in message(tmp_path / "part.igs")
        (tmp_path / "part").write_text("solid")
        assert "export it as one of" in message(tmp_path / "part")

    @pytest.mark.parametrize("kind", ["stl", "ply", "obj", "off", "glb", "gltf", "3mf"])
    def test_empty_and_foreign(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / f"part.{kind}"
        path.write_bytes(b" \n")
        assert "is empty" in message(path)
        path.write_bytes(b"The quick brown fox jumps over the lazy dog.\n" * 9)
        text = message(path)
        assert "again" in text or "export" in text
        path.write_bytes(bytes(range(256)) * 9)
        message(path)

    def test_a_file_that_cannot_be_opened(self, tmp_path: Path) -> None:
        loop = tmp_path / "part.stl"
        loop.symlink_to(loop)
        assert "cannot be read" in message(loop)

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ("", "is empty"),
            ("v 0 0 0\nv 90 0 0\nv 0 90 0\n", "no triangles"),
            ("v 0 0 0\nv 90 0 nan\nv 0 90 0\nf 1 2 3\n", "not finite"),
            ("v 0 0 0\nv 90 0 inf\nv 0 90 0\nf 1 2 3\n", "not finite"),
            ("v 0 0 0\nv 90 0 1e300\nv 0 90 0\nf 1 2 3\n", "not finite"),
            ("v 0 0 0\nv 45 0 0\nv 90 0 0\nf 1 2 3\n", "zero area"),
            ("v 1e7 0 0\nv 10000090 0 0\nv 1e7 90 0\nf 1 2 3\n", "too far from its origin"),
        ],
    )
    def test_meshes_without_a_usable_surface(self, tmp_path: Path, body: str, problem: str) -> None:
        path = tmp_path / "part.obj"
        path.write_text(body)
        assert problem in message(path)

    def test_all_points_in_one_place(self, tmp_path: Path) -> None:
        path = tmp_path / "part.obj"
        path.write_text("v 5 5 5\nv 5 5 5\nv 5 5 5\nf 1 2 3\n")
        assert "is 0 mm across" in message(path)
        assert "is 0 mm across" in message(path, units="m")

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ("3 0 1 2", "3 0 1 9", "vertices it does not have"),
            ("3 0 1 2", "3 0 1 -1", "vertices it does not have"),
            ("3 0 1 2", "3 0 1", "breaks off"),
            ("face 1", "face 0", "no triangles"),
            ("vertex 3", "vertex 9999", "breaks off"),
            ("vertex 3", "vertex 99999999999", "has 99999999999 vertices and the limit is"),
            ("face 1", "face 2000001", "has 2000001 triangles and the limit is"),
            ("90 0 0", "90 zero 0", "text where numbers should be"),
            ("0 90 0", "0 nan 0", "not finite"),
        ],
    )
    def test_bad_ply(self, tmp_path: Path, old: str, new: str, problem: str) -> None:
        path = tmp_path / "part.ply"
        good = (
            "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
            "property float z\nelement face 1\nproperty list uchar int vertex_indices\n"
            "end_header\n0 0 0\n90 0 0\n0 90 0\n3 0 1 2\n"
        )
        assert old in good
        path.write_text(good)
        load(path)
        path.write_text(good.replace(old, new))
        assert problem in message(path)

    def test_too_many_triangles(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        box().export(tmp_path / "box.stl")
        monkeypatch.setattr("cad_models._mesh.checked.MAX_FACES", 11)
        assert "has 12 triangles and the limit is 11" in message(tmp_path / "box.stl")
        monkeypatch.setattr("cad_models._files.source.MAX_BYTES", 100)
        assert "larger than" in message(tmp_path / "box.stl")

    @pytest.mark.parametrize(
        ("kind", "limit", "size"),
        [
            ("stl", "stl.MAX_FACES", "36 vertices"),
            ("stl_ascii", "stl.MAX_FACES", "36 vertices"),
            ("ply", "ply.MAX_VERTICES", "8 vertices"),
            ("obj", "obj.reader.MAX_FACES", "7 vertices|8 vertices"),
        ],
    )
    def test_too_many_are_seen_before_they_are_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, limit: str, size: str
    ) -> None:
        """By the reader itself: the check of whole meshes has its own limit."""
        path = tmp_path / f"box.{kind.removesuffix('_ascii')}"
        box().export(path, file_type=kind)
        load(path)
        monkeypatch.setattr(f"cad_models._files.{limit}", 7)
        assert re.search(f"has ({size}) and the limit is", message(path))

    def test_truncated_files_of_every_kind(self, tmp_path: Path) -> None:
        """A file that lost its second half never passes for a mesh of half the faces."""
        ball = trimesh.creation.icosphere(subdivisions=2, radius=50)
        for kind in ("stl", "stl_ascii", "ply", "off", "glb", "3mf"):
            path = tmp_path / f"ball.{kind.removesuffix('_ascii')}"
            ball.export(path, file_type=kind)
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            message(path, units="mm")


def _samples() -> dict[str, bytes]:
    mesh = trimesh.creation.icosphere(subdivisions=1, radius=60)
    mesh.visual.vertex_colors = np.random.default_rng(0).integers(
        0, 256, (len(mesh.vertices), 4), dtype=np.uint8
    )
    textured = mesh.copy()
    textured.visual = trimesh.visual.TextureVisuals(
        uv=np.random.default_rng(1).random((len(mesh.vertices), 2)),
        image=PIL.Image.new("RGB", (4, 4), RED),
    )
    kinds = ("stl", "ply", "obj", "off", "glb", "3mf")
    samples = {f"part.{kind}": mesh.export(file_type=kind) for kind in kinds}
    samples["text.stl"] = mesh.export(file_type="stl_ascii")
    samples["text.ply"] = mesh.export(file_type="ply", encoding="ascii")
    samples["textured.glb"] = textured.export(file_type="glb")
    return {k: v.encode() if isinstance(v, str) else v for k, v in samples.items()}


SAMPLES = _samples()


@st.composite
def damaged_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file's name and its content, cut, overwritten, shortened in the middle or replaced."""
    name = draw(st.sampled_from(sorted(SAMPLES)))
    content = bytearray(SAMPLES[name])
    kind = draw(st.sampled_from(["cut", "overwrite", "edit header", "remove", "replace"]))
    if kind == "cut":
        return name, bytes(content[: draw(st.integers(0, len(content) - 1))])
    if kind == "replace":
        return name, draw(st.binary(max_size=400))
    end = min(len(content), 500) if kind == "edit header" else len(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, end - 1))
        if kind == "remove":
            del content[at : at + draw(st.integers(1, 30))]
            end = len(content)
        elif kind == "edit header":
            content[at] = draw(st.sampled_from(b'0123456789-.e \n{}[]",:'))
        else:
            content[at] = draw(st.integers(0, 255))
    return name, bytes(content)


@settings(max_examples=400, deadline=None)
@given(damaged_files())
def test_damaged_files_load_or_are_refused(damaged: tuple[str, bytes]) -> None:
    name, content = damaged
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / name
        path.write_bytes(content)
        refused, mesh = "", None
        try:
            mesh = load(path, units="mm").mesh
        except ModelError as error:
            refused = str(error)
        if mesh is None:
            assert str(path) in refused
            assert "\n" not in refused
            assert "No module" not in refused
        else:
            assert np.isfinite(mesh.vertices).all()
            assert mesh.faces.min() >= 0
            assert mesh.faces.max() < len(mesh.vertices)
            np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-4)
    finally:
        shutil.rmtree(folder)
