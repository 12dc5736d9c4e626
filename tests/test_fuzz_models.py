"""Meshes and models folders from strangers: a model that can be rendered, or one sentence."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from cad_models import CadModel, ModelError, load_models
from tests.fuzzing import check_refusal, damaged_bytes, damaged_json

QUICK = settings(max_examples=100, deadline=None)


def loads_or_refuses(name: str, content: bytes, **beside: bytes) -> None:
    """`beside` are files that it may name, `_` for the dot in their names."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        for other, text in beside.items():
            (Path(folder) / other.replace("_", ".")).write_bytes(text)
        try:
            [model] = load_models([f"widget={path}"], units="mm")
        except ModelError as error:
            check_refusal(error, path)
        else:
            assert_usable(model)


def assert_usable(model: CadModel) -> None:
    mesh = model.mesh
    for note in model.notes:
        assert "\n" not in note
        assert len(note) < 300
    assert np.isfinite(mesh.vertices).all()
    assert mesh.faces.min() >= 0
    assert mesh.faces.max() < len(mesh.vertices)
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-4)
    assert 0.1 <= model.diameter <= 100_000
    if mesh.texture is not None:
        assert mesh.texture_coordinates is not None
        assert np.isfinite(mesh.texture_coordinates).all()


def sample(kind: str) -> bytes:
    ball = trimesh.creation.icosphere(subdivisions=1, radius=60)
    ball.visual.vertex_colors = np.tile([[9, 99, 199, 255]], (len(ball.vertices), 1))
    content = ball.export(file_type=kind.removesuffix("-text"), **_OPTIONS.get(kind, {}))
    return content.encode() if isinstance(content, str) else content


_OPTIONS = {"ply-text": {"encoding": "ascii"}}
KINDS = ("ply", "ply-text", "obj", "off", "stl", "glb", "3mf")
SAMPLES = {kind: sample(kind) for kind in KINDS}


@QUICK
@given(st.sampled_from(KINDS).flatmap(lambda k: st.tuples(st.just(k), damaged_bytes(SAMPLES[k]))))
def test_damaged_meshes(damaged: tuple[str, bytes]) -> None:
    kind, content = damaged
    loads_or_refuses(f"part.{kind.removesuffix('-text')}", content)


_TYPES = st.sampled_from(["char", "uchar", "short", "int", "uint", "float", "double", "int99"])
_PROPERTY = st.one_of(
    st.tuples(
        _TYPES,
        st.sampled_from(
            ["x", "y", "z", "nx", "ny", "nz", "red", "green", "blue", "s", "t", "texnumber"]
        ),
    ).map(" ".join),
    st.tuples(
        st.just("list"), _TYPES, _TYPES, st.sampled_from(["vertex_indices", "texcoord", "a"])
    ).map(" ".join),
)
_SKIN = "comment TextureFile skin.png\n"
PICTURE = cv2.imencode(".png", np.full((4, 4, 3), 99, np.uint8))[1].tobytes()
_COUNTS = st.sampled_from([*map(str, range(5)), "-1", "2000001", "99999999999", "1e3", "x"])
_ELEMENT = st.tuples(
    st.sampled_from(["vertex", "face", "edge", "tristrips"]),
    _COUNTS,
    st.lists(_PROPERTY, max_size=5),
).map(lambda e: "\n".join([f"element {e[0]} {e[1]}", *(f"property {p}" for p in e[2])]))
_GOOD = (
    "element vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    "element face 1\nproperty list uchar int vertex_indices"
)
_BODY = st.one_of(
    st.just(b"0 0 0\n90 0 0\n0 90 0\n3 0 1 2\n"),
    st.just(np.array([[0, 0, 0], [90, 0, 0], [0, 90, 0]], "<f4").tobytes() + b"\3" + bytes(12)),
    st.binary(max_size=80),
    st.lists(
        st.sampled_from(["0", "3", "1", "2", "90", "nan", "-7", "1e39", "x"]), max_size=30
    ).map(lambda words: " ".join(words).encode()),
)


@QUICK
@given(
    st.sampled_from(["ascii", "binary_little_endian", "binary_big_endian", "other"]),
    st.one_of(st.just(_GOOD), st.lists(_ELEMENT, max_size=4).map("\n".join)),
    st.sampled_from(["", "comment TextureFile ../x.png\n", "comment TextureFile \0\n", 2 * _SKIN]),
    _BODY,
)
def test_any_ply_header(encoding: str, elements: str, comment: str, body: bytes) -> None:
    header = f"ply\nformat {encoding} 1.0\n{comment}{elements}\nend_header\n"
    loads_or_refuses("part.ply", header.encode() + body, skin_png=PICTURE)


_LOOKS = st.lists(
    st.sampled_from(
        [
            "property uchar red\nproperty uchar green\nproperty uchar blue",
            "property float red\nproperty float green\nproperty float blue",
            "property list uchar float texcoord",
            "property list int double texcoord",
            "property int texnumber",
            "property float texnumber",
            "property list uchar int a",
        ]
    ),
    max_size=3,
).map("\n".join)


@QUICK
@given(
    st.sampled_from(["ascii", "binary_little_endian", "binary_big_endian"]),
    _LOOKS,
    _LOOKS,
    st.sampled_from(["", _SKIN, 2 * _SKIN]),
    st.sampled_from(["face", "tristrips"]),
    st.lists(st.sampled_from([0, 1, 2, 3, 4, 6, -1, 0.5, 90, 1e39, np.nan, 255]), max_size=60),
)
def test_any_looks_of_a_ply(
    encoding: str, vertex: str, face: str, comment: str, surface: str, numbers: list[float]
) -> None:
    header = (
        f"ply\nformat {encoding} 1.0\n{comment}element vertex 3\nproperty float x\n"
        f"property float y\nproperty float z\n{vertex}\nelement {surface} 2\n"
        f"property list uchar int vertex_indices\n{face}\nend_header\n"
    )
    body = " ".join(map(str, numbers)).encode()
    if encoding != "ascii":
        order = "<" if encoding == "binary_little_endian" else ">"
        with np.errstate(all="ignore"):
            body = b"".join(
                np.array(n).astype(f"{order}f4" if k % 3 else "u1").tobytes()
                for k, n in enumerate(numbers)
            )
    loads_or_refuses("part.ply", header.encode() + body, skin_png=PICTURE)


_WORDS = st.sampled_from(
    [
        "0",
        "1",
        "-1",
        "90",
        "3",
        "1/1",
        "2//1",
        "-9",
        "1e39",
        "nan",
        "99999999999999999999",
        "a",
        "/",
    ]
)
_LINES = st.tuples(
    st.sampled_from(
        ["v", "vt", "vn", "f", "usemtl", "mtllib a.mtl", "o", "surf", "l", "p", "\0", "f\\"]
    ),
    st.lists(_WORDS, max_size=6),
).map(lambda line: " ".join([line[0], *line[1]]))


@QUICK
@given(st.lists(_LINES, max_size=12), st.booleans())
def test_any_obj(lines: list[str], begins_well: bool) -> None:
    start = ["v 0 0 0", "v 90 0 0", "v 0 90 0", "f 1 2 3"] if begins_well else []
    text = "\n".join([*start, *lines]).encode()
    loads_or_refuses("part.obj", text, a_mtl=b"newmtl 0\nmap_Kd a.png", a_png=PICTURE)


_MATERIAL = st.tuples(
    st.sampled_from(
        ["newmtl", "Kd", "Ka", "Ke", "d", "Tr", "map_Kd", "map_Ka", "map_d", "bump", "illum", ""]
    ),
    st.lists(
        st.sampled_from(
            [
                "a", "b", "0", "1", "0.4", "255", "-1", "1e39", "nan", "inf", "x", "a.png", '"', "",
                "-s", "-o", "-t", "-mm", "-clamp", "on", "-bm", "../a.png", "\\", "/", "\0",
            ]
        ),
        max_size=6,
    ),
).map(lambda line: " ".join([line[0], *line[1]]))  # fmt: skip


@QUICK
@given(st.lists(_MATERIAL, max_size=12), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_any_mtl(lines: list[str], encoding: str) -> None:
    obj = (
        b"mtllib a.mtl\nv 0 0 0\nv 90 0 0\nv 0 90 0\nv 0 0 90\nvt 0 0\nvt 1 0\nvt 0 1\n"
        b"usemtl a\nf 1/1 2/2 3/3\nusemtl b\nf 1/1 3/2 4/3\nusemtl\nf 1 2 4\n"
    )
    materials = "\n".join(["newmtl a", *lines]).encode(encoding)
    loads_or_refuses("part.obj", obj, a_mtl=materials, a_png=PICTURE)


_NUMBERS = st.sampled_from(
    ["0", "1", "2", "3", "4", "-1", "90", "0.5", "255", "1e39", "nan", "x", "#", "99999999999"]
)
_ROWS = st.lists(st.lists(_NUMBERS, max_size=8).map(" ".join), max_size=10).map("\n".join)


@QUICK
@given(
    st.sampled_from(["OFF", "COFF", "NOFF", "STCNOFF", "4OFF", "OFF BINARY", "", "STOFF"]),
    st.sampled_from(["", "3 1 0", "3 2", "0 0 0", "99999999999 1 0", "x"]),
    st.sampled_from(["", "0 0 0\n90 0 0\n0 90 0\n", "0 0 0 1 0 0\n90 0 0 1 1 1\n0 90 0 9 9 9\n"]),
    _ROWS,
)
def test_any_off(keyword: str, counts: str, vertices: str, rows: str) -> None:
    loads_or_refuses("part.off", f"{keyword}\n{counts}\n{vertices}{rows}".encode())


_STL_WORDS = st.sampled_from(
    ["solid", "endsolid", "facet normal", "0 0 1", "outer loop", "vertex", "0 0 0", "90 0 0",
     "0 90 0", "endloop", "endfacet", "\n", "x", "1,5", "nan"]
)  # fmt: skip


@QUICK
@given(
    st.binary(max_size=84),
    st.integers(0, 3),
    st.lists(st.binary(min_size=50, max_size=50), max_size=3).map(b"".join),
    st.binary(max_size=60),
    st.lists(_STL_WORDS, max_size=40).map(" ".join),
)
def test_any_stl(header: bytes, count: int, facets: bytes, spare: bytes, words: str) -> None:
    binary = header[:80].ljust(80, b"\0") + count.to_bytes(4, "little") + facets + spare
    loads_or_refuses("part.stl", binary)
    loads_or_refuses("part.stl", b"solid a\n" + words.encode() + b"\nendsolid a")
    loads_or_refuses("part.stl", header + words.encode() + spare)


def gltf() -> dict[str, object]:
    """A triangle, its numbers within the file."""
    files = trimesh.Trimesh([[0, 0, 0], [90, 0, 0], [0, 90, 0]], [[0, 1, 2]]).export(
        file_type="gltf", embed_buffers=True
    )
    return json.loads(files["model.gltf"])


@QUICK
@given(damaged_json(gltf()))
def test_damaged_gltf(content: bytes) -> None:
    loads_or_refuses("part.gltf", content)


MODELS_INFO = {
    "1": {
        "name": "widget", "diameter": 90.0, "min_x": 0, "size_x": 90.0,
        "symmetries_discrete": [[-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]],
        "symmetries_continuous": [{"axis": [0, 0, 1], "offset": [0, 0, 0]}],
    },
    "2": {"diameter": 12.5},
}  # fmt: skip
TRIANGLE = (
    b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
    b"property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    b"0 0 0\n63.63961 0 0\n0 63.63961 0\n3 0 1 2\n"
)


@QUICK
@given(damaged_json(MODELS_INFO))
def test_damaged_models_info(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "obj_000001.ply").write_bytes(TRIANGLE)
        (folder / "models_info.json").write_bytes(content)
        try:
            [model] = load_models(["1"], models=folder, units="mm")
        except ModelError as error:
            check_refusal(error, folder)
        else:
            assert_usable(model)
            assert np.isfinite(model.symmetries.discrete).all()
            for symmetry in model.symmetries.continuous:
                np.testing.assert_allclose(np.linalg.norm(symmetry.axis), 1, atol=1e-6)
