"""What PLY files of other programs look like once they are read."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cad_models import CadModel, ModelError, load_models
from tests.looks import from_above

RED, BLUE, ORANGE, GREY = (255, 0, 0), (0, 0, 255), (255, 128, 0), (190, 190, 190)
POINTS = [(x, y, 0) for x in (-50, 0, 50) for y in (-50, 50)]
"""Of a sheet of 100 mm: a left and a right half that share an edge."""
LEFT, RIGHT = [(0, 2, 3), (0, 3, 1)], [(2, 4, 5), (2, 5, 3)]
QUADS = [(0, 2, 3, 1), (2, 4, 5, 3)]
CODES = {"uchar": "B", "ushort": "H", "int": "i", "float": "f", "double": "d", "char": "b"}
MIDDLE_LEFT, MIDDLE_RIGHT = (32, 24), (32, 40)


def load(path: Path, **options: Any) -> CadModel:
    [model] = load_models([f"widget={path}"], **options)
    return model


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


def pixel(model: CadModel, place: tuple[int, int]) -> tuple[int, ...]:
    return tuple(from_above(model)[place].tolist())


def write(
    path: Path,
    vertex: list[tuple[str, str]] = [],  # noqa: B006
    values: list[tuple[float, ...]] | tuple[float, ...] = (),
    *,
    face: list[str] = [],  # noqa: B006
    faces: list[tuple[float, ...]] | None = None,
    head: str = "",
    kind: str = "ascii",
) -> Path:
    """A sheet with more properties, after x, y and z, and after the corners of a face.

    `faces` are whole rows, as text has them; binary files have none but triangles.
    """
    rows = [values] * len(POINTS) if isinstance(values, tuple) else values
    faces = [(3, *corners) for corners in LEFT + RIGHT] if faces is None else faces
    properties = [("float", axis) for axis in "xyz"] + vertex
    header = "\n".join(
        [
            "ply", f"format {kind} 1.0", *head.splitlines(), f"element vertex {len(POINTS)}",
            *(f"property {type_} {name}" for type_, name in properties),
            f"element face {len(faces)}", "property list uchar int vertex_indices",
            *(f"property {line}" for line in face), "end_header\n",
        ]
    )  # fmt: skip
    table = [(*point, *row) for point, row in zip(POINTS, rows, strict=True)]
    if kind == "ascii":
        body = "".join(" ".join(f"{value:g}" for value in row) + "\n" for row in table + faces)
        path.write_text(header + body)
        return path
    order = ">" if kind == "binary_big_endian" else "<"
    code = order + "".join(CODES[type_] for type_, _ in properties)
    content = [header.encode(), *(struct.pack(code, *row) for row in table)]
    content += [struct.pack(order + "Biii", *row) for row in faces]
    path.write_bytes(b"".join(content))
    return path


def colors_as(type_: str, names: str) -> list[tuple[str, str]]:
    return [(type_, name) for name in names.split()]


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize(
    ("type_", "names", "values"),
    [
        ("uchar", "red green blue", (255, 128, 0)),
        ("uchar", "diffuse_red diffuse_green diffuse_blue", (255, 128, 0)),
        ("uchar", "r g b", (255, 128, 0)),
        ("uchar", "Red Green Blue", (255, 128, 0)),
        ("uchar", "red green blue alpha", (255, 128, 0, 0)),
        ("float", "red green blue", (1, 0.5, 0)),
        ("double", "r g b", (1, 0.5, 0)),
        ("float", "red green blue", (255, 128, 0)),
        ("int", "red green blue", (255, 128, 0)),
        ("ushort", "red green blue", (65535, 32896, 0)),
        ("ushort", "red green blue", (255, 128, 0)),
    ],
)
def test_colours_in_every_spelling(
    tmp_path: Path, kind: str, type_: str, names: str, values: tuple[float, ...]
) -> None:
    model = load(write(tmp_path / "a.ply", colors_as(type_, names), values, kind=kind))
    assert pixel(model, MIDDLE_LEFT) == pixel(model, MIDDLE_RIGHT) == ORANGE
    assert model.notes == ()


def test_dark_fractions_are_dark(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ply", colors_as("float", "red green blue"), (0.2, 0.1, 0))
    assert pixel(load(path), MIDDLE_LEFT) == (51, 26, 0)


@pytest.mark.parametrize(
    ("type_", "one"), [("uchar", 255), ("float", 1), ("ushort", 65535), ("double", 255)]
)
def test_colours_of_faces(tmp_path: Path, type_: str, one: int) -> None:
    face = [f"{type_} {name}" for name in ("red", "green", "blue", "alpha")]
    faces = [(3, *corners, one, 0, 0, one) for corners in LEFT]
    faces += [(3, *corners, 0, 0, one, one) for corners in RIGHT]
    model = load(write(tmp_path / "a.ply", face=face, faces=faces))
    assert pixel(model, MIDDLE_LEFT) == RED
    assert pixel(model, MIDDLE_RIGHT) == BLUE
    # They meet without a blend.
    assert {tuple(color) for color in model.mesh.colors.tolist()} == {RED, BLUE}


def quarters() -> NDArray[np.uint8]:
    """Red, green over blue, white."""
    rows = [[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 255, 255)]]
    return np.array(rows, np.uint8).repeat(8, axis=0).repeat(8, axis=1)


def save(path: Path, picture: NDArray[np.uint8]) -> None:
    cv2.imwrite(str(path), picture[..., ::-1])


def flat(color: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.full((8, 8, 3), color, np.uint8)


def assert_shows_quarters(model: CadModel) -> None:
    picture = from_above(model)
    # The sheet lies in rows and columns 16 to 48.
    corners = [tuple(picture[place].tolist()) for place in ((20, 20), (20, 44), (44, 20), (44, 44))]
    assert corners == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


@pytest.mark.parametrize("names", ["s t", "u v", "texture_u texture_v"])
def test_texture_coordinates_of_vertices(tmp_path: Path, names: str) -> None:
    save(tmp_path / "skin.png", quarters())
    values = [(x / 100 + 0.5, y / 100 + 0.5) for x, y, _ in POINTS]
    head = 'comment TextureFile "skin.png"'
    vertex = [("float", name) for name in names.split()]
    model = load(write(tmp_path / "a.ply", vertex, values, head=head))
    assert_shows_quarters(model)
    assert model.mesh.texture is not None
    np.testing.assert_array_equal(model.mesh.texture, quarters())


def wedges(corners: tuple[int, ...]) -> tuple[float, ...]:
    """As MeshLab writes them: two numbers for each corner of a face."""
    uv = [POINTS[corner][axis] / 100 + 0.5 for corner in corners for axis in (0, 1)]
    return (len(corners), *corners, len(uv), *uv)


@pytest.mark.parametrize("faces", [LEFT + RIGHT, QUADS, [QUADS[0], *RIGHT], [*LEFT, QUADS[1]]])
def test_texture_coordinates_of_corners(tmp_path: Path, faces: list[tuple[int, ...]]) -> None:
    save(tmp_path / "skin.png", quarters())
    model = load(
        write(
            tmp_path / "a.ply",
            face=["list uchar float texcoord"],
            faces=[wedges(corners) for corners in faces],
            head="comment TextureFile skin.png",
        )
    )
    assert_shows_quarters(model)


@pytest.mark.parametrize("without", [-1, 7])
def test_two_textures_and_none(tmp_path: Path, without: int) -> None:
    save(tmp_path / "red.png", flat(RED))
    save(tmp_path / "blue skin.png", flat(BLUE))
    head = "comment TextureFile red.png\ncomment TextureFile blue skin.png"
    face = ["list uchar float texcoord", "int texnumber"]
    for numbers, looks in (((0, 1), (RED, BLUE)), ((1, without), (BLUE, ORANGE))):
        faces = [(*wedges(corners), numbers[0]) for corners in LEFT]
        faces += [(*wedges(corners), numbers[1]) for corners in RIGHT]
        path = tmp_path / "a.ply"
        colors = colors_as("uchar", "red green blue")
        model = load(write(path, colors, ORANGE, face=face, faces=faces, head=head))
        assert (pixel(model, MIDDLE_LEFT), pixel(model, MIDDLE_RIGHT)) == looks


def test_faces_without_texture_coordinates_keep_their_colour(tmp_path: Path) -> None:
    save(tmp_path / "red.png", flat(RED))
    faces = [wedges(corners) for corners in LEFT] + [(3, *corners, 0) for corners in RIGHT]
    path = write(
        tmp_path / "a.ply",
        face=["list uchar float texcoord"],
        faces=faces,
        head="comment TextureFile red.png",
    )
    model = load(path)
    assert (pixel(model, MIDDLE_LEFT), pixel(model, MIDDLE_RIGHT)) == (RED, GREY)


def test_a_texture_beside_colours_of_faces(tmp_path: Path) -> None:
    save(tmp_path / "skin.png", quarters())
    values = [(x / 100 + 0.5, y / 100 + 0.5) for x, y, _ in POINTS]
    face = [f"uchar {name}" for name in ("red", "green", "blue")]
    faces = [(3, *corners, *ORANGE) for corners in LEFT + RIGHT]
    head = "comment TextureFile skin.png"
    vertex = [("float", "s"), ("float", "t")]
    path = write(tmp_path / "a.ply", vertex, values, face=face, faces=faces, head=head)
    assert_shows_quarters(load(path))


def test_strips_of_triangles(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ply", colors_as("uchar", "red green blue"), ORANGE, faces=[])
    text = path.read_text().replace(
        "element face 0\nproperty list uchar int vertex_indices",
        "element tristrips 1\nproperty list int int vertex_indices",
    )
    path.write_text(text + "9 2 3 0 1 -1 4 5 2 3\n")
    model = load(path)
    assert len(model.mesh.faces) == 4
    assert (model.mesh.normals[:, 2] == 1).all()
    assert pixel(model, MIDDLE_LEFT) == pixel(model, MIDDLE_RIGHT) == ORANGE
    save(tmp_path / "skin.png", quarters())
    values = [(x / 100 + 0.5, y / 100 + 0.5) for x, y, _ in POINTS]
    head = "comment TextureFile skin.png"
    write(path, [("float", "s"), ("float", "t")], values, faces=[], head=head)
    text = path.read_text().replace(
        "element face 0\nproperty list uchar int vertex_indices",
        "element tristrips 1\nproperty list int int vertex_indices",
    )
    path.write_text(text + "9 2 3 0 1 -1 4 5 2 3\n")
    assert_shows_quarters(load(path))


def test_a_concave_polygon_covers_what_it_encloses(tmp_path: Path) -> None:
    """A U of 8 corners: its notch stays open."""
    path = tmp_path / "a.ply"
    corners = [(-50, -50), (50, -50), (50, 50), (20, 50), (20, -20), (-20, -20), (-20, 50)]
    corners.append((-50, 50))
    path.write_text(
        "ply\nformat ascii 1.0\nelement vertex 8\nproperty int x\nproperty int y\nproperty int z\n"
        "element face 1\nproperty list uchar int vertex_index\nend_header\n"
        + "".join(f"{x} {y} 0\n" for x, y in corners)
        + "8 0 1 2 3 4 5 6 7\n"
    )
    model = load(path)
    picture = from_above(model)
    assert len(model.mesh.faces) == 6
    assert picture[20, 32].tolist() == [0, 0, 0]
    for place in ((20, 20), (20, 44), (44, 32)):
        assert picture[place].tolist() == [190, 190, 190]
    a, b, c = (model.mesh.vertices[model.mesh.faces[:, k]].astype(float) for k in range(3))
    assert np.cross(b - a, c - a)[:, 2].sum() / 2 == pytest.approx(100 * 100 - 40 * 70)
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_line_ends_of_other_systems(tmp_path: Path, line_end: str) -> None:
    path = write(tmp_path / "a.ply", colors_as("uchar", "red green blue"), ORANGE)
    path.write_bytes(path.read_text().replace("\n", line_end).encode())
    assert pixel(load(path), MIDDLE_LEFT) == ORANGE


def test_elements_and_lists_that_say_nothing_of_the_surface(tmp_path: Path) -> None:
    faces = [(3, *corners, 2, 8, 9) for corners in LEFT] + [(3, *corners, 0) for corners in RIGHT]
    face = ["list uchar float flags"]
    path = write(tmp_path / "a.ply", [("float", "quality")], (7,), face=face, faces=faces)
    text = path.read_text().replace(
        "element vertex", "element camera 1\nproperty list uchar float view\nelement vertex"
    )
    head, body = text.split("end_header\n")
    edges = "element edge 1\nproperty int vertex1\nproperty int vertex2\n"
    path.write_text(f"{head}{edges}end_header\n2 1.5 2.5\n{body}")
    model = load(path)
    assert len(model.mesh.faces) == 4
    np.testing.assert_array_equal(model.bounds, [[-50, -50, 0], [50, 50, 0]])


def test_what_cannot_be_shown_is_noted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ply", [("float", "s"), ("float", "t")], (0, 0))
    assert load(path).notes == ("a.ply: it names no texture for its texture coordinates",)
    path = write(tmp_path / "a.ply")
    path.write_text(path.read_text().replace("end_header", "element material 0\nend_header"))
    assert load(path).notes == ("a.ply: its materials are left out",)


def test_mixed_faces_that_break_off(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ply", faces=[(4, *QUADS[0]), *[(3, *c) for c in RIGHT]])
    path.write_text(path.read_text().rsplit(" ", 1)[0])
    assert "breaks off" in refusal(path)
    path = write(tmp_path / "b.ply", kind="binary_big_endian")
    path.write_bytes(path.read_bytes()[:-1])
    assert "breaks off" in refusal(path)


@pytest.mark.parametrize("faces", [LEFT + RIGHT, [*LEFT, QUADS[1]]])
def test_binary_files_that_are_cut_anywhere(tmp_path: Path, faces: list[tuple[int, ...]]) -> None:
    header = write(tmp_path / "a.ply", faces=[(len(f), *f) for f in faces]).read_bytes()
    header = header[: header.index(b"end_header\n") + 11].replace(b"ascii", b"binary_big_endian")
    header = header.replace(b"list uchar", b"list int")
    whole = header + np.array(POINTS, ">f4").tobytes()
    whole += b"".join(np.array([len(face), *face], ">i4").tobytes() for face in faces)
    path = tmp_path / "a.ply"
    path.write_bytes(whole)
    assert len(load(path).mesh.faces) == 4
    for length in range(len(header), len(whole)):
        path.write_bytes(whole[:length])
        assert "breaks off" in refusal(path)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("format ascii 1.0", "format ascii 2.0", "its header has 'format ascii 2.0'"),
        ("property float z", "property float y", "'vertex' has two properties of one name"),
        ("property float z", "property float w", "no x, y and z"),
        ("property float z", "property real z", "its header has 'property real z'"),
        ("list uchar int", "list float int", "its header has 'property list float int"),
        ("3 0 2 3", "-3 0 2 3", "a list of -3 entries"),
        ("3 0 2 3", "2.5 0 2 3", "a list of 2.5 entries"),
        ("end_header", "end", "it has no header"),
    ],
)
def test_malformed_files(tmp_path: Path, old: str, new: str, problem: str) -> None:
    path = write(tmp_path / "a.ply")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    assert problem in refusal(path)
