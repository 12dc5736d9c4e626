"""Meshes and models folders from strangers: a model that can be rendered, or one sentence."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from cad_models import CadModel, ModelError, load_models
from tests import test_collada, test_three_mf
from tests.fuzzing import check_refusal, damaged_bytes, damaged_json, damaged_xml
from tests.step_files import step_box
from tests.test_three_mf import GREEN, RED

QUICK = settings(max_examples=100, deadline=None)


def loads_or_refuses(name: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            [model] = load_models([f"widget={path}"], units="mm")
        except ModelError as error:
            check_refusal(error, path)
        else:
            assert_usable(model)


def assert_usable(model: CadModel) -> None:
    mesh = model.mesh
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
        _TYPES, st.sampled_from(["x", "y", "z", "nx", "ny", "nz", "red", "green", "blue", "s", "t"])
    ).map(" ".join),
    st.tuples(st.just("list"), _TYPES, _TYPES, st.sampled_from(["vertex_indices", "a"])).map(
        " ".join
    ),
)
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
    st.sampled_from(["", "comment TextureFile ../x.png\n", "comment TextureFile \0\n"]),
    _BODY,
)
def test_any_ply_header(encoding: str, elements: str, comment: str, body: bytes) -> None:
    header = f"ply\nformat {encoding} 1.0\n{comment}{elements}\nend_header\n"
    loads_or_refuses("part.ply", header.encode() + body)


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
    st.sampled_from(["v", "vt", "vn", "f", "usemtl", "mtllib", "o", "g", "l", "p", "\0", "f\\"]),
    st.lists(_WORDS, max_size=6),
).map(lambda line: " ".join([line[0], *line[1]]))


@QUICK
@given(st.lists(_LINES, max_size=12), st.booleans())
def test_any_obj(lines: list[str], begins_well: bool) -> None:
    start = ["v 0 0 0", "v 90 0 0", "v 0 90 0", "f 1 2 3"] if begins_well else []
    loads_or_refuses("part.obj", "\n".join([*start, *lines]).encode())


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


THREE_MF = test_three_mf.model(
    test_three_mf.MATERIALS
    + test_three_mf.COLORS
    + '<m:texture2d id="7" path="/a.png" contenttype="image/png" tilestyleu="clamp"/>'
    '<m:texture2dgroup id="8" texid="7"><m:tex2coord u="0" v="0"/><m:tex2coord u="1" v="2"/>'
    '</m:texture2dgroup><m:compositematerials id="6" matid="1" matindices="0 1">'
    '<m:composite values="0.75 0.25"/></m:compositematerials>'
    '<m:multiproperties id="9" pids="1 5"><m:multi pindices="0 2"/></m:multiproperties>'
    + test_three_mf.shown(
        test_three_mf.mesh(
            40, 'pid="5" p1="1" p2="2" p3="0"', ('pid="8" p1="0" p2="1" p3="0"', 'pid="9" p1="0"')
        ),
        3,
        'pid="6" pindex="0"',
    )
    + test_three_mf.shown(
        test_three_mf.assembly(
            'objectid="3"',
            'objectid="1" p:path="/3D/b.model" transform="1 0 0 0 1 0 0 0 -1 50 0 0"',
        )
    ),
    '<item objectid="2" transform="0 1 0 -1 0 0 0 0 1 5 6 7"/>',
)
OTHER_MODEL = test_three_mf.model(
    test_three_mf.MATERIALS + test_three_mf.shown(test_three_mf.mesh(20), 1, 'pid="1" pindex="1"'),
    "",
    'unit="inch"',
)
VOLUMES = (
    '<config><object id="3"><volume firstid="0" lastid="3"><metadata type="volume" '
    'key="volume_type" value="ParameterModifier"/></volume></object></config>'
)
PICTURE = test_three_mf.png([[RED, GREEN]])


@QUICK
@given(
    st.one_of(
        st.tuples(st.just("3D/3dmodel.model"), damaged_xml(THREE_MF)),
        st.tuples(st.just("3D/b.model"), damaged_xml(OTHER_MODEL)),
        st.tuples(st.just("Metadata/Slic3r_PE_model.config"), damaged_xml(VOLUMES)),
        st.tuples(
            st.just("_rels/.rels"), damaged_xml(test_three_mf.relationships("/3D/3dmodel.model"))
        ),
        st.tuples(st.just("a.png"), damaged_bytes(PICTURE)),
    )
)
def test_damaged_three_mf(damaged: tuple[str, bytes]) -> None:
    """Damaged within the archive, which is whole."""
    others = {
        "3D/b.model": OTHER_MODEL,
        "Metadata/Slic3r_PE_model.config": VOLUMES,
        "a.png": PICTURE,
        **dict([damaged]),
    }
    with tempfile.TemporaryDirectory() as folder:
        archive = test_three_mf.write(Path(folder) / "a.3mf", THREE_MF, others).read_bytes()
    loads_or_refuses("part.3mf", archive)


COLLADA = test_collada.document(
    test_collada.materials(
        test_collada.colored("a", "1 0 0 1"), test_collada.colored("b", "0 0.5 1 1")
    )
    + test_collada.geometry(
        test_collada.polylist(list(test_collada.QUADS.values())[:3], "a")
        + '<triangles count="2" material="b"><input semantic="VERTEX" source="#vertices" '
        'offset="0"/><input semantic="NORMAL" source="#normals" offset="1"/>'
        '<input semantic="COLOR" source="#colors" offset="1" set="0"/>'
        "<p>0 0 2 0 6 1 0 1 6 0 4 0</p></triangles>",
        90,
        test_collada.source("normals", [[0, 0, 1], [0, 1, 0]], "XYZ")
        + test_collada.source("colors", [[0, 0, 1, 1], [0, 1, 0, 1]], "RGBA"),
    )
    + '<library_nodes><node id="n"><instance_geometry url="#box"/></node></library_nodes>',
    test_collada.SHOW.format(test_collada.bound(a="a", b="b"))
    + "<node><translate>0 0 90</translate><rotate>0 0 1 30</rotate><scale>1 1 -1</scale>"
    '<instance_node url="#n"/></node>',
)


@QUICK
@given(damaged_xml(COLLADA))
def test_damaged_collada(content: bytes) -> None:
    loads_or_refuses("part.dae", content)


STEP = step_box((100, 60, 40), (1, 0, 0), (0, 0, 1), assembled=True)


@pytest.mark.skipif(
    importlib.util.find_spec("cascadio") is None, reason="cascadio is not installed"
)
@settings(max_examples=5, deadline=None)
@given(damaged_bytes(STEP.encode(), header=len(STEP)))
def test_damaged_step(content: bytes) -> None:
    loads_or_refuses("part.step", content)


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
