"""What OBJ files of other programs, with their materials and textures, look like once read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from cad_models import CadModel, ModelError, load_models
from tests.looks import from_above

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
BLACK, GREY = (0, 0, 0), (190, 190, 190)
LEFT, RIGHT = (32, 24), (32, 40)
VERTICES = "".join(f"v {x} {y} 0{{color}}\n" for x in (-50, 0, 50) for y in (-50, 50))
COORDINATES = "".join(f"vt {u} {v}\n" for u in (0, 0.5, 1) for v in (0, 1))
FACES = "usemtl left\nf 1/1 3/3 4/4 2/2\nusemtl right\nf 3/3 5/5 6/6 4/4\n"
SHEET = COORDINATES + FACES
"""Of 100 mm; the texture covers it once, the materials `left` and `right` half of it each."""


def load(path: Path, **options: Any) -> CadModel:
    [model] = load_models([f"widget={path}"], **options)
    return model


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


def write(
    folder: Path, materials: str | None, *, color: str = "", body: str = SHEET, mtl: str = "a.mtl"
) -> Path:
    path = folder / "a.obj"
    lines = "" if materials is None else f"mtllib {mtl}\n"
    if materials is not None:
        (folder / mtl).parent.mkdir(parents=True, exist_ok=True)
        (folder / mtl).write_text(materials)
    path.write_text(lines + VERTICES.format(color=color) + body)
    return path


def halves(model: CadModel) -> tuple[tuple[int, ...], tuple[int, ...]]:
    picture = from_above(model)
    return tuple(picture[LEFT].tolist()), tuple(picture[RIGHT].tolist())


def corners(model: CadModel) -> list[tuple[int, ...]]:
    """Of the sheet: upper left, upper right, lower left, lower right."""
    picture = from_above(model)
    return [tuple(picture[place].tolist()) for place in ((20, 20), (20, 44), (44, 20), (44, 44))]


def save(path: Path, picture: Any, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = picture if isinstance(picture, PIL.Image.Image) else PIL.Image.fromarray(picture)
    (image if mode is None else image.convert(mode)).save(path)


def flat(color: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.full((16, 16, 3), color, np.uint8)


def quarters() -> NDArray[np.uint8]:
    """Red, green over blue, white."""
    rows = np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8)
    return rows.repeat(8, axis=0).repeat(8, axis=1)


def both(lines: str) -> str:
    return f"newmtl left\n{lines}\nnewmtl right\n{lines}\n"


class TestColours:
    @pytest.mark.parametrize(
        ("kd", "expected"),
        [
            ("Kd 1 0 0", RED),
            ("Kd 0.4 0.4 0.4", (102, 102, 102)),
            ("\tKd  0.2 0.1 0", (51, 26, 0)),
            ("kd 1 0 0", RED),
            ("Kd 255 0 0", RED),
            ("Kd 0.4", (102, 102, 102)),
            ("Kd 0 0 0", BLACK),
            ("Ka 1 0 0", GREY),
            ("Kd spectral file.rfl", GREY),
        ],
    )
    def test_diffuse(self, tmp_path: Path, kd: str, expected: tuple[int, int, int]) -> None:
        for body in (SHEET, FACES.replace("/1", "").replace("/3", "").replace("/4", "")):
            body = body if "vt" in body else "usemtl left\nf 1 3 4 2\nusemtl right\nf 3 5 6 4\n"
            model = load(write(tmp_path, both(kd), body=body))
            assert halves(model) == (expected, expected)
            assert model.notes == ()

    def test_each_face_has_its_own(self, tmp_path: Path) -> None:
        path = write(tmp_path, "newmtl left\nKd 1 0 0\nnewmtl right\nKd 0 0 1\n")
        assert halves(load(path)) == (RED, BLUE)

    @pytest.mark.parametrize("color", [" 1 0 0", " 255 0 0", " 1.0 0.0 0.0 1.0"])
    @pytest.mark.parametrize("materials", [None, both("Kd 0.8 0.8 0.8"), both("Kd 1 1 1")])
    def test_vertex_colours_count_before_kd(
        self, tmp_path: Path, color: str, materials: str | None
    ) -> None:
        assert halves(load(write(tmp_path, materials, color=color))) == (RED, RED)

    def test_but_for_white_ones(self, tmp_path: Path) -> None:
        path = write(tmp_path, both("Kd 1 0 0"), color=" 1 1 1")
        assert halves(load(path)) == (RED, RED)

    def test_vertex_colours_of_some_vertices_only(self, tmp_path: Path) -> None:
        path = write(tmp_path, both("Kd 1 0 0"), color=" 0 1 0")
        path.write_text(path.read_text().replace("v 50 50 0 0 1 0", "v 50 50 0"))
        assert halves(load(path)) == (RED, RED)


class TestMaterialFiles:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
    @pytest.mark.parametrize("line_end", ["\n", "\r\n"])
    def test_encodings(self, tmp_path: Path, encoding: str, line_end: str) -> None:
        name = "Gehäuse links"
        path = write(tmp_path, f"newmtl {name}\nKd 1 0 0\nnewmtl right\nKd 0 0 1\n")
        path.write_text(path.read_text().replace("usemtl left", f"usemtl {name}"))
        for file in (path, tmp_path / "a.mtl"):
            text = file.read_text().replace("\n", line_end)
            file.write_bytes(text.encode(encoding))
        model = load(path)
        assert halves(model) == (RED, BLUE)
        assert model.notes == ()

    @pytest.mark.parametrize("name", ["my part.mtl", "./a.mtl", "sub folder/a.mtl", "b c.d e.mtl"])
    def test_names(self, tmp_path: Path, name: str) -> None:
        assert halves(load(write(tmp_path, both("Kd 1 0 0"), mtl=name))) == (RED, RED)

    @pytest.mark.parametrize("lines", ["mtllib a.mtl b.mtl", "mtllib a.mtl\nmtllib b.mtl"])
    def test_several(self, tmp_path: Path, lines: str) -> None:
        path = write(tmp_path, "newmtl left\nKd 1 0 0\n")
        (tmp_path / "b.mtl").write_text("newmtl right\nKd 0 0 1\n")
        path.write_text(path.read_text().replace("mtllib a.mtl", lines))
        assert halves(load(path)) == (RED, BLUE)

    def test_missing_ones_and_missing_materials(self, tmp_path: Path) -> None:
        path = write(tmp_path, "newmtl left\nKd 1 0 0\n")
        model = load(path)
        assert halves(model) == (RED, GREY)
        expected = "a.obj: grey where it has the material 'right', which is not in its MTL file"
        assert model.notes == (expected,)
        (tmp_path / "a.mtl").unlink()
        assert "refers to 'a.mtl'" in refusal(path)
        path.write_text(path.read_text().replace("mtllib a.mtl", "mtllib a.mtl b.mtl"))
        assert "refers to 'a.mtl'" in refusal(path)
        [note] = load(write(tmp_path, None)).notes
        assert note.endswith("material 'left', which it names no MTL file for")


class TestTextures:
    @pytest.mark.parametrize(
        "name",
        [
            "skin.png",
            '"skin.png"',
            "SKIN.Png",
            "./skin.png",
            ".\\skin.png",
            "C:\\scan\\skin.png",
            "C:\\scan\\My Maps\\skin.png",
            "/home/me/scan/skin.png",
            "../scan/skin.png",
            "-s 1 1 1 -o 0 0 0 skin.png",
            "-bm 0.5 -clamp on -blendu off skin.png",
            "-imfchan l -type sphere skin.png",
            "-o 0 -s 1 skin.png",
        ],
    )
    def test_names(self, tmp_path: Path, name: str) -> None:
        save(tmp_path / "skin.png", quarters())
        model = load(write(tmp_path, both(f"Kd 1 1 1\nmap_Kd {name}")))
        assert corners(model) == [RED, GREEN, BLUE, WHITE]
        assert model.notes == ()

    @pytest.mark.parametrize("name", ["my  skin (1).png", "maps/skin one.png", "-skin.png"])
    def test_blanks_and_folders(self, tmp_path: Path, name: str) -> None:
        save(tmp_path / name, quarters())
        model = load(write(tmp_path, both(f"map_Kd -clamp off {name}")))
        assert corners(model) == [RED, GREEN, BLUE, WHITE]

    @pytest.mark.parametrize("place", ["mats/skin.png", "mats/maps/skin.png", "skin.png"])
    def test_beside_the_material_file_or_the_mesh(self, tmp_path: Path, place: str) -> None:
        save(tmp_path / place, quarters())
        name = "maps/skin.png" if "maps" in place else "skin.png"
        path = write(tmp_path, both(f"map_Kd {name}"), mtl="mats/a.mtl")
        assert corners(load(path)) == [RED, GREEN, BLUE, WHITE]
        path = write(
            tmp_path, both(f"map_Kd D:\\work\\{name}"), mtl="mats\\a.mtl".replace("\\", "/")
        )
        assert corners(load(path)) == [RED, GREEN, BLUE, WHITE]

    @pytest.mark.parametrize(
        ("name", "place"),
        [
            ("../images/skin.png", "images/skin.png"),
            ("skin.png", "materials/textures/skin.png"),
            ("../textures/skin.png", "textures/Skin.PNG"),
        ],
        ids=["ShapeNet", "Gazebo and Google's scans", "others"],
    )
    def test_in_a_folder_of_pictures_beside_the_mesh(
        self, tmp_path: Path, name: str, place: str
    ) -> None:
        save(tmp_path / place, quarters())
        (tmp_path / "models").mkdir()
        path = write(tmp_path / "models", both(f"map_Kd {name}"))
        assert corners(load(path)) == [RED, GREEN, BLUE, WHITE]

    def test_the_nearer_of_two_files_of_one_name(self, tmp_path: Path) -> None:
        save(tmp_path / "mats/skin.png", flat(RED))
        save(tmp_path / "skin.png", flat(BLUE))
        path = write(tmp_path, both("map_Kd skin.png"), mtl="mats/a.mtl")
        assert halves(load(path)) == (RED, RED)
        path = write(tmp_path, both("map_Kd ../skin.png"), mtl="mats/a.mtl")
        assert halves(load(path)) == (BLUE, BLUE)

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ("-s 0.5 0.5 1", [BLUE, BLUE, BLUE, BLUE]),
            ("-s 0.5 0.5 -o 0.5 0.5", [GREEN, GREEN, GREEN, GREEN]),
            ("-o 0.5", [GREEN, RED, WHITE, BLUE]),
            ("-s -1 1 1", [GREEN, RED, WHITE, BLUE]),
        ],
    )
    def test_scale_and_offset(self, tmp_path: Path, options: str, expected: list[object]) -> None:
        save(tmp_path / "skin.png", quarters())
        model = load(write(tmp_path, both(f"map_Kd {options} skin.png")))
        assert corners(model) == expected
        assert model.notes == ()

    @pytest.mark.parametrize(
        ("kd", "expected"),
        [
            ("Kd 1 1 1", (200, 100, 50)),
            ("Kd 0 0 0", (200, 100, 50)),
            ("", (200, 100, 50)),
            ("Kd 0.8 0.8 0.8", (160, 80, 40)),
            ("Kd 1 0 0", (200, 0, 0)),
        ],
    )
    def test_kd_multiplies_the_texture(self, tmp_path: Path, kd: str, expected: object) -> None:
        save(tmp_path / "skin.png", flat((200, 100, 50)))
        path = write(tmp_path, both(f"{kd}\nmap_Kd skin.png"))
        assert halves(load(path)) == (expected, expected)

    def test_a_map_of_ambient_light_stands_in(self, tmp_path: Path) -> None:
        save(tmp_path / "red.png", flat(RED))
        save(tmp_path / "blue.png", flat(BLUE))
        assert halves(load(write(tmp_path, both("map_Ka red.png")))) == (RED, RED)
        for lines in ("map_Ka red.png\nmap_Kd blue.png", "map_Kd blue.png\nmap_Ka red.png"):
            assert halves(load(write(tmp_path, both(lines)))) == (BLUE, BLUE)

    @pytest.mark.parametrize(
        ("name", "picture", "expected"),
        [
            ("a.png", PIL.Image.fromarray(np.full((8, 8), 40000, np.uint16)), (156, 156, 156)),
            ("a.tif", PIL.Image.fromarray(np.full((8, 8), 40000, np.uint16)), (156, 156, 156)),
            ("a.png", PIL.Image.new("L", (8, 8), 90), (90, 90, 90)),
            ("a.png", PIL.Image.new("LA", (8, 8), (90, 0)), (90, 90, 90)),
            ("a.png", PIL.Image.new("RGBA", (8, 8), (255, 0, 0, 0)), RED),
            ("a.png", PIL.Image.new("RGB", (8, 8), RED).convert("P"), RED),
            ("a.png", PIL.Image.new("1", (8, 8), 1), WHITE),
            ("a.bmp", PIL.Image.new("RGB", (8, 8), RED), RED),
            ("a.tga", PIL.Image.new("RGB", (8, 8), RED), RED),
            ("a.tif", PIL.Image.new("RGB", (8, 8), RED), RED),
            ("a.gif", PIL.Image.new("RGB", (8, 8), RED), RED),
            ("a.webp", PIL.Image.new("RGB", (8, 8), WHITE), WHITE),
            ("a.dds", PIL.Image.new("RGB", (8, 8), RED), RED),
            # Its file says TIFF where its name says PNG.
            ("a.jpg", PIL.Image.new("CMYK", (8, 8), (0, 255, 255, 0)), RED),
        ],
    )
    def test_kinds_of_pictures(
        self, tmp_path: Path, name: str, picture: PIL.Image.Image, expected: tuple[int, int, int]
    ) -> None:
        save(tmp_path / name, picture)
        found = halves(load(write(tmp_path, both(f"map_Kd {name}"))))
        np.testing.assert_allclose(found, (expected, expected), atol=2)

    def test_a_tag_that_turns_photographs_turns_no_texture(self, tmp_path: Path) -> None:
        image = PIL.Image.fromarray(quarters())
        exif = image.getexif()
        exif[0x0112] = 3
        image.save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
        found = corners(load(write(tmp_path, both("map_Kd a.jpg"))))
        np.testing.assert_allclose(found, [RED, GREEN, BLUE, WHITE], atol=6)

    def test_many_materials_of_few_textures(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What counts is how many looks there are, each tint of a texture being one."""
        save(tmp_path / "skin.png", flat((200, 100, 50)))
        monkeypatch.setattr("cad_models._files.textures.MAX_PIXELS", 2 * 16 * 16)
        names = [f"m{number}" for number in range(40)]
        body = COORDINATES + "".join(f"usemtl {name}\nf 1/1 3/3 4/4 2/2\n" for name in names)
        body += "usemtl right\nf 3/3 5/5 6/6 4/4\n"
        materials = "".join(f"newmtl {name}\nmap_Kd skin.png\n" for name in names)
        path = write(tmp_path, materials + "newmtl right\nKd 1 0 0\nmap_Kd skin.png", body=body)
        assert halves(load(path)) == ((200, 100, 50), (200, 0, 0))
        tints = "".join(f"newmtl {name}\nKd 0.{name[1:]} 0 0\nmap_Kd skin.png\n" for name in names)
        path = write(tmp_path, tints + "newmtl right", body=body)
        assert "textures of more than 512 pixels in all" in refusal(path)

    def test_coordinates_of_one_number(self, tmp_path: Path) -> None:
        save(tmp_path / "skin.png", quarters())
        body = FACES.replace("1/1 3/3 4/4 2/2", "1/1 3/1 4/1 2/1").replace("/5", "/1")
        body = body.replace("/6", "/1").replace("/3", "/1").replace("/4", "/1")
        model = load(write(tmp_path, both("map_Kd skin.png"), body="vt 0.25\n" + body))
        np.testing.assert_array_equal(model.mesh.texture_coordinates, [[0.25, 0]] * 6)

    def test_faces_without_coordinates_have_the_materials_colour(self, tmp_path: Path) -> None:
        save(tmp_path / "skin.png", flat(BLUE))
        body = SHEET.replace("f 3/3 5/5 6/6 4/4", "f 3 5 6 4")
        model = load(write(tmp_path, both("Kd 1 0 1\nmap_Kd skin.png"), body=body))
        assert halves(model) == (BLUE, (255, 0, 255))

    def test_a_texture_beside_plain_colours(self, tmp_path: Path) -> None:
        save(tmp_path / "skin.png", quarters())
        model = load(write(tmp_path, "newmtl left\nmap_Kd skin.png\nnewmtl right\nKd 0 0 1\n"))
        assert corners(model) == [RED, BLUE, BLUE, BLUE]


class TestShapes:
    @pytest.mark.parametrize(
        "faces",
        [
            "f 1 3 4\nf 1 4 2\nf 3 5 6 4\n",
            "f -6 -4 -3 -5\nf -4 -2 -1 -3\n",
            "g a\nf 1 3 5 6 4 2\n",
            "f 1 3 \\\n5 6 \\\n4 2\n",
            "o a\ns 1\nf 1// 3// 5// 6// 4// 2// # all of it\n",
            "vt 0 0\nf 1/1 3/1 4/1 2/1\nf 3 5 6 4\n",
            "vn 0 0 1\nf 1//1 3//1 4//-1 2//1\nf 3 5 6 4\n",
            "fo 1 3 5 6 4 2\n",
            "l 1 2\np 1\nf 1 3 5 6 4 2\n",
        ],
    )
    def test_ways_to_write_the_sheet(self, tmp_path: Path, faces: str) -> None:
        model = load(write(tmp_path, None, body=faces))
        assert len(model.mesh.faces) == 4
        a, b, c = (model.mesh.vertices[model.mesh.faces[:, k]].astype(float) for k in range(3))
        areas = np.cross(b - a, c - a)[:, 2] / 2
        assert (areas > 0).all()
        assert areas.sum() == pytest.approx(100 * 100)
        assert halves(model) == (GREY, GREY)

    @pytest.mark.parametrize("first", range(8))
    def test_a_concave_polygon_covers_what_it_encloses(self, tmp_path: Path, first: int) -> None:
        """A U of 8 corners: its notch stays open, wherever the polygon begins."""
        points = [(-50, -50), (50, -50), (50, 50), (20, 50), (20, -20), (-20, -20), (-20, 50)]
        points.append((-50, 50))
        order = " ".join(str((k + first) % 8 + 1) for k in range(8))
        path = tmp_path / "a.obj"
        path.write_text("".join(f"v {x} {y} 0\n" for x, y in points) + f"f {order}\n")
        picture = from_above(load(path))
        assert picture[20, 32].tolist() == [0, 0, 0]
        for place in ((20, 20), (20, 44), (44, 32)):
            assert picture[place].tolist() == [190, 190, 190]

    @pytest.mark.parametrize("plane", range(3))
    @pytest.mark.parametrize("first", range(4))
    def test_a_concave_quadrangle(self, tmp_path: Path, first: int, plane: int) -> None:
        """An arrowhead, in every plane."""
        points = [(0, 0), (60, -30), (0, 60), (-60, -30)]
        rows = [list(point) for point in points]
        for row in rows:
            row.insert(plane, 0)
        order = " ".join(str((k + first) % 4 + 1) for k in range(4))
        path = tmp_path / "a.obj"
        path.write_text("".join(f"v {x} {y} {z}\n" for x, y, z in rows) + f"f {order}\n")
        mesh = load(path).mesh
        a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(float) for k in range(3))
        areas = np.cross(b - a, c - a) / 2
        assert np.linalg.norm(areas, axis=1).sum() == pytest.approx(2 * 60 * 60 / 2)
        assert np.linalg.norm(areas.sum(axis=0)) == pytest.approx(2 * 60 * 60 / 2)


class TestNotes:
    @pytest.mark.parametrize(
        ("lines", "what"),
        [
            ("bump a.png", "relief"),
            ("map_Bump -bm 1 a.png", "relief"),
            ("norm a.png", "relief"),
            ("d 0.5", "transparency"),
            ("map_d a.png", "transparency"),
            ("Ke 1 1 1", "glow"),
            ("map_Kd -mm 0 0.5 skin.png", "texture's -t or -mm"),
        ],
    )
    def test_what_is_left_out(self, tmp_path: Path, lines: str, what: str) -> None:
        save(tmp_path / "skin.png", flat(RED))
        model = load(write(tmp_path, both(f"Kd 1 0 0\n{lines}")))
        assert halves(model) == (RED, RED)
        assert model.notes == (f"a.obj: its {what} is left out",)

    @pytest.mark.parametrize("lines", ["d 1", "Tr 0", "Tr 1", "Ke 0 0 0", "Ks 1 1 1\nmap_Ks a.png"])
    def test_what_is_not(self, tmp_path: Path, lines: str) -> None:
        model = load(write(tmp_path, both(f"Kd 1 0 0\n{lines}")))
        assert halves(model) == (RED, RED)
        assert model.notes == ()

    def test_a_texture_that_should_not_repeat(self, tmp_path: Path) -> None:
        save(tmp_path / "skin.png", flat(RED))
        model = load(write(tmp_path, both("map_Kd -clamp on -s 2 2 skin.png")))
        assert model.notes == ("a.obj: its textures repeat where -clamp says that they should not",)

    def test_vertex_colours_beside_a_texture(self, tmp_path: Path) -> None:
        save(tmp_path / "skin.png", flat(RED))
        model = load(write(tmp_path, both("map_Kd skin.png"), color=" 0 1 0"))
        assert halves(model) == (RED, RED)
        assert model.notes == ("a.obj: its vertex colours are left out where it has a texture",)

    def test_wholly_transparent_parts_are_not_there(self, tmp_path: Path) -> None:
        model = load(write(tmp_path, "newmtl left\nKd 1 0 0\nnewmtl right\nd 0\n"))
        # Half of the sheet, now in the middle of the picture.
        columns = np.flatnonzero(from_above(model).any(axis=(0, 2)))
        assert (columns[0], columns[-1]) == (24, 39)
        assert tuple(from_above(model)[32, 32].tolist()) == RED
        np.testing.assert_array_equal(model.bounds, [[-50, -50, 0], [0, 50, 0]])
        assert model.notes == ("a.obj: what is wholly transparent is left out",)
        model = load(write(tmp_path, both("Kd 1 0 0\nd 0")))
        assert halves(model) == (RED, RED)
        assert model.notes == ("a.obj: all of it is transparent and is shown opaque",)

    def test_free_form_surfaces(self, tmp_path: Path) -> None:
        path = write(tmp_path, both("Kd 1 0 0"))
        path.write_text(path.read_text() + "cstype bezier\nsurf 0 1 0 1 1 2 3 4\nend\n")
        model = load(path)
        assert halves(model) == (RED, RED)
        assert model.notes == ("a.obj: its free-form curves and surfaces are left out",)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("f 1 2 9\n", "vertices it does not have"),
        ("f 0 1 2\n", "vertices it does not have"),
        ("f 1 2 -9\n", "vertices it does not have"),
        ("f 1/1 2/1 3/1\n", "vertices it does not have"),
        ("f 1 2 x\n", "text where numbers should be"),
        ("f 1 2 1e0\n", "text where numbers should be"),
        ("v 1 2 x\nf 1 2 3\n", "text where numbers should be"),
        ("v 1 2\nf 1 2 7\n", "not finite numbers"),
        ("f 1 2\n", "no triangles"),
    ],
)
def test_malformed_files(tmp_path: Path, body: str, problem: str) -> None:
    assert problem in refusal(write(tmp_path, None, body=body))


def test_quadrangles_with_two_corners_in_one_place(tmp_path: Path) -> None:
    """As many programs write the poles of a ball; some of a face's corners may be alike in all."""
    for faces in ("f 1 3 4 4\nf 1 1 4 2\n", "f 1 3 4 4\nf 1 4 2 1\nf 3 3 3 3\nf 5 5 6 6\n"):
        mesh = load(write(tmp_path, None, body=faces)).mesh
        a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(float) for k in range(3))
        assert np.cross(b - a, c - a)[:, 2].tolist() == [5000, 5000]
