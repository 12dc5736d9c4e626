"""What STL and OFF files of other programs look like once they are read."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from cad_models import CadModel, ModelError, load_models
from tests.looks import from_above, from_below

RED, BLUE, BLACK, GREY = (255, 0, 0), (0, 0, 255), (0, 0, 0), (190, 190, 190)


def load(path: Path, **options: Any) -> CadModel:
    [model] = load_models([f"widget={path}"], **options)
    return model


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


def box() -> trimesh.Trimesh:
    return trimesh.creation.box((100, 100, 100))


def assert_is_the_box(model: CadModel) -> None:
    assert len(model.mesh.faces) == 12
    np.testing.assert_allclose(model.bounds, [[-50] * 3, [50] * 3], atol=1e-6)
    assert model.diameter == pytest.approx(100 * 3**0.5, rel=1e-9)


def middle(model: CadModel) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The colours in the middle of the top and of the bottom."""
    top, bottom = from_above(model)[32, 32].tolist(), from_below(model)[32, 32].tolist()
    return tuple(top), tuple(bottom)


def stl(header: bytes = b"", top: int = 0, others: int = 0) -> bytes:
    """The box with its two faces that look up, and all others, with an attribute."""
    mesh = box()
    content = header.ljust(80, b"\0") + struct.pack("<I", len(mesh.faces))
    for normal, corners in zip(mesh.face_normals, mesh.triangles, strict=True):
        attribute = top if normal[2] > 0.5 else others
        content += struct.pack("<12fH", *normal, *corners.reshape(-1), attribute)
    return content


def text_stl() -> str:
    text = box().export(file_type="stl_ascii")
    return text if isinstance(text, str) else text.decode()


class TestStl:
    @pytest.mark.parametrize("header", [b"", b"solid part", b"COLOR"])
    @pytest.mark.parametrize("spare", [b"", bytes(4), b"\r\n", b"made by hand"])
    def test_spare_bytes_and_any_header(self, tmp_path: Path, header: bytes, spare: bytes) -> None:
        path = tmp_path / "a.stl"
        path.write_bytes(stl(header) + spare)
        model = load(path)
        assert_is_the_box(model)
        assert middle(model) == (GREY, GREY)
        expected = ("a.stl: 12 bytes after its triangles are left out",)
        assert model.notes == (expected if spare.strip(b"\0\r\n") else ())

    def test_a_count_that_was_never_filled_in(self, tmp_path: Path) -> None:
        content = bytearray(stl())
        content[80:84] = bytes(4)
        (tmp_path / "a.stl").write_bytes(content)
        assert_is_the_box(load(tmp_path / "a.stl"))

    @pytest.mark.parametrize(
        ("header", "top", "others", "looks"),
        [
            (b"COLOR=\xff\x00\x00\xff", 0, 0, (RED, RED)),
            (b"by Magics COLOR=\xff\x00\x00\xff,MATERIAL=", 0x8000, 0x8000, (RED, RED)),
            (b"COLOR=\xff\x00\x00\xff", 31 << 10, 0x8000, (BLUE, RED)),
            (b"COLOR=\x00\x00\xff\xff", 31, 0x8000 | 31 << 5, (RED, BLUE)),
            (b"COLOR=\x00\x00\xff\xff", 31, 0, (RED, BLACK)),
            (b"", 0x8000 | 31 << 10, 0x8000 | 31, (RED, BLUE)),
            (b"", 0x8000 | 31 << 10, 0, (RED, GREY)),
            (b"", 0x8000, 0x8000 | 31, (BLACK, BLUE)),
            (b"", 0x8000 | 16 << 10 | 8 << 5, 0, ((132, 66, 0), GREY)),
        ],
    )
    def test_colours_of_magics_and_viscam(
        self, tmp_path: Path, header: bytes, top: int, others: int, looks: object
    ) -> None:
        (tmp_path / "a.stl").write_bytes(stl(header, top, others))
        model = load(tmp_path / "a.stl")
        assert middle(model) == looks
        assert model.notes == ()

    def test_attributes_that_are_no_colours(self, tmp_path: Path) -> None:
        (tmp_path / "a.stl").write_bytes(stl(b"", 0x8123, 0x0042))
        model = load(tmp_path / "a.stl")
        assert middle(model) == (GREY, GREY)
        [note] = model.notes
        assert note.startswith("a.stl: its facets' attributes are left out")

    @pytest.mark.parametrize("lost", [1, 49, 50, 300])
    def test_lost_bytes_are_noticed(self, tmp_path: Path, lost: int) -> None:
        (tmp_path / "a.stl").write_bytes(stl()[:-lost])
        assert "breaks off" in refusal(tmp_path / "a.stl")

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("\n", "\r\n"),
            ("\n", "\r"),
            ("vertex", "VERTEX"),
            ("solid \n", "solid Geh\u00e4use facet vertex\n"),
            (".0", ",0"),
            ("facet normal 0", "facet normal nan"),
            ("vertex ", "vertex\n  "),
        ],
    )
    def test_text_in_any_spelling(self, tmp_path: Path, old: str, new: str) -> None:
        path = tmp_path / "a.stl"
        path.write_bytes(text_stl().replace(old, new).encode("latin-1"))
        assert_is_the_box(load(path))
        path.write_bytes(text_stl().replace(old, new).encode("utf-16"))
        assert_is_the_box(load(path))

    def test_text_with_several_solids(self, tmp_path: Path) -> None:
        other = text_stl().replace("50.0", "20.0")
        (tmp_path / "a.stl").write_text(text_stl() + other)
        model = load(tmp_path / "a.stl")
        assert len(model.mesh.faces) == 24
        assert model.notes == ()

    def test_text_that_was_cut(self, tmp_path: Path) -> None:
        path = tmp_path / "a.stl"
        path.write_text(text_stl().rpartition("endsolid")[0])
        model = load(path)
        assert_is_the_box(model)
        assert model.notes == ("a.stl: it has no endsolid line, as if it were cut off",)
        for lost in (10, 40, 90, 500):
            path.write_text(text_stl().rpartition("endsolid")[0][:-lost])
            assert "breaks off" in refusal(path)


def off(
    keyword: str = "OFF\n",
    vertex: str = "",
    top: str = "",
    others: str = "",
    counts: str = "8 6 12\n",
) -> str:
    """The box of four-cornered faces, the first of which looks up."""
    points = [(x, y, z) for z in (50, -50) for x, y in ((-50, -50), (50, -50), (50, 50), (-50, 50))]
    faces = ["0 1 2 3", "7 6 5 4", "0 4 5 1", "1 5 6 2", "2 6 7 3", "3 7 4 0"]
    lines = [" ".join(map(str, point)) + " " + vertex for point in points]
    lines += [f"4 {face} {top if number == 0 else others}" for number, face in enumerate(faces)]
    return keyword + counts + "\n".join(lines) + "\n"


class TestOff:
    @pytest.mark.parametrize(
        "content",
        [
            off(),
            off(keyword="OFF "),
            off(keyword=""),
            off(keyword="# by hand\nOFF # of a box\n\n"),
            off(counts="8 6\n"),
            off().replace("\n", "\r\n"),
            off(vertex="# a corner"),
        ],
    )
    def test_spellings(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "a.off").write_text(content)
        model = load(tmp_path / "a.off")
        assert_is_the_box(model)
        assert (model.mesh.colors == 190).all()

    @pytest.mark.parametrize(
        ("keyword", "vertex"),
        [
            ("COFF\n", "255 0 0 255"),
            ("COFF\n", "255 0 0"),
            ("COFF\n", "1.0 0.0 0.0 1.0"),
            ("COFF\n", "1 0 0 1"),
            ("OFF\n", "255 0 0 0"),
            ("NOFF\n", "0 0 1 255 0 0"),
            ("CNOFF\n", "0 0 1 1.0 0.0 0.0 1.0"),
            ("STCNOFF\n", "0 0 1 255 0 0 255 0.5 0.5"),
            ("STCOFF\n", "255 0 0 255 0.5 0.5"),
        ],
    )
    def test_colours_of_vertices(self, tmp_path: Path, keyword: str, vertex: str) -> None:
        (tmp_path / "a.off").write_text(off(keyword, vertex))
        model = load(tmp_path / "a.off")
        assert_is_the_box(model)
        assert middle(model) == (RED, RED)
        assert model.notes == ()

    @pytest.mark.parametrize(
        ("top", "others", "looks"),
        [
            ("255 0 0", "0 0 255", (RED, BLUE)),
            ("255 0 0 255", "0 0 255 255", (RED, BLUE)),
            ("1.0 0.0 0.0", "0.0 0.0 1.0", (RED, BLUE)),
            ("1 0 0 0.5", "0 0 1 0.5", (RED, BLUE)),
            ("255 0 0", "", (RED, GREY)),
            ("0.4 0.4 0.4", "", ((102, 102, 102), GREY)),
        ],
    )
    def test_colours_of_faces(self, tmp_path: Path, top: str, others: str, looks: object) -> None:
        (tmp_path / "a.off").write_text(off(top=top, others=others))
        model = load(tmp_path / "a.off")
        assert_is_the_box(model)
        assert middle(model) == looks

    def test_what_cannot_be_shown_is_noted(self, tmp_path: Path) -> None:
        (tmp_path / "a.off").write_text(off(top="3"))
        model = load(tmp_path / "a.off")
        assert model.notes == ("a.off: colours by their number in a table are left out",)
        (tmp_path / "a.off").write_text(off("STOFF\n", "0.5 0.5"))
        [note] = load(tmp_path / "a.off").notes
        assert note == "a.off: OFF names no texture for its texture coordinates"

    @pytest.mark.parametrize("keyword", ["4OFF", "nOFF", "OFF BINARY", "C4OFF", "4nOFF"])
    def test_other_kinds_are_named(self, tmp_path: Path, keyword: str) -> None:
        (tmp_path / "a.off").write_text(off(f"{keyword}\n"))
        assert f"{keyword} is not read" in refusal(tmp_path / "a.off")

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ("4 3 7 4 0", "", "breaks off"),
            ("4 3 7 4 0", "5 3 7 4 0", "fewer corners than it says"),
            ("4 3 7 4 0", "-1 3 7 4 0", "fewer corners than it says"),
            ("4 3 7 4 0", "4 3 7 4 9", "vertices it does not have"),
            ("4 3 7 4 0", "4 3 7 4 x", "text where numbers should be"),
            ("8 6 12", "8 x 12", "does not begin with OFF"),
            ("8 6 12", "9000000 6 12", "has 9000000 vertices"),
            ("-50 -50 50", "-50 -50", "different numbers of columns"),
        ],
    )
    def test_malformed_files(self, tmp_path: Path, old: str, new: str, problem: str) -> None:
        content = off()
        assert old in content
        (tmp_path / "a.off").write_text(content.replace(old, new, 1))
        assert problem in refusal(tmp_path / "a.off")
