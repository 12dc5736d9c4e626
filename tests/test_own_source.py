"""Mesh files that another package reads, wherever mesh files can be named."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cad_models import ModelError, SourceFiles, load_models
from tests.own_packages import MAIN, ROOT, attempt, install, run

READ = runpy.run_path(str(ROOT / "examples/plug_ins/a_mesh_file/medit_meshes.py"))["read"]
CORNERS = [(x, y, z) for x in (0, 60) for y in (0, 40) for z in (0, 20)]
SIDES = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]
HALVES = [half for a, b, c, d in SIDES for half in ((a, b, c), (a, c, d))]


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    return install("plug_ins/a_mesh_file", tmp_path / "site")


def section(name: str, rows: list[tuple[int, ...]]) -> str:
    lines = (" ".join(map(str, (*row, 7))) for row in rows)
    return f"{name}\n{len(rows)}\n" + "\n".join(lines) + "\n"


def text(*sections: str) -> str:
    return "MeshVersionFormatted 2\n\nDimension 3\n" + "\n".join(sections) + "End\n"


def box() -> str:
    return text(section("Vertices", CORNERS), section("Triangles", HALVES))


def write_ply(path: Path) -> None:
    header = ["ply", "format ascii 1.0", f"element vertex {len(CORNERS)}"]
    header += [f"property float {axis}" for axis in "xyz"]
    header += [
        f"element face {len(HALVES)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    rows = [" ".join(map(str, corner)) for corner in CORNERS]
    rows += [f"3 {a - 1} {b - 1} {c - 1}" for a, b, c in HALVES]
    path.write_text("\n".join([*header, *rows, ""]))


@pytest.mark.several_seconds
def test_a_dataset_of_such_a_file_is_that_of_the_same_mesh_in_another(
    installed: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "part.MESH").write_text(box())
    write_ply(tmp_path / "part.ply")
    for name, file in (("theirs", "part.MESH"), ("ours", "part.ply")):
        making = ("--objects", f"part={file}", "--n", 3, "--adapter", "none", "--workers", 1)
        run(MAIN, installed, tmp_path, *making, "--out", name)
    manifest = json.loads((tmp_path / "theirs/manifest.json").read_text())
    assert "part.MESH" in manifest["objects"]["part"]["origin"]
    pictures = sorted((tmp_path / "ours").glob("train/*/*/*.png"))
    assert len(pictures) == 3 * len(("rgb", "depth", "mask", "mask_visib"))
    for made in pictures:
        relative = made.relative_to(tmp_path / "ours")
        assert (tmp_path / "theirs" / relative).read_bytes() == made.read_bytes()
    told = run(MAIN, installed, tmp_path, "verify", "theirs")
    assert "the labels are true" in " ".join(told.split())


def test_triangles_and_quadrangles_are_read_and_solids_are_told_of(tmp_path: Path) -> None:
    path = tmp_path / "part.mesh"
    path.write_text(
        text(
            "# made by hand",
            section("Vertices", CORNERS),
            section("Edges", [(1, 2)]) + "# an edge is none of the surface's",
            section("Quadrilaterals", SIDES[1:]),
            section("Triangles", HALVES[:2]),
            section("Tetrahedra", [(1, 2, 3, 5)]),
            section("Hexahedra", []),
        )
    )
    mesh = READ(SourceFiles(path))
    np.testing.assert_array_equal(mesh.vertices, CORNERS)
    assert mesh.millimetres_per_unit is None
    assert sorted(map(tuple, (mesh.faces + 1).tolist())) == sorted(HALVES)
    assert mesh.notes == ("part.mesh: of its tetrahedra nothing is shown",)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("\x01\0\0\0 binary", "is no 3-D Medit mesh in text"),
        (box().replace("Dimension 3", "Dimension 2"), "is no 3-D Medit mesh in text"),
        (box()[:150], "breaks off in its"),
        (box().replace("Triangles\n12", "Triangles\n13"), "breaks off in its Triangles"),
        (box().replace("Triangles\n12", f"Triangles\n{10**30}"), "breaks off in its Triangles"),
        (box().replace("Triangles\n12", "Triangles\n-1"), "breaks off in its Triangles"),
        (box().replace("60", "six"), "breaks off in its Vertices"),
        (box().replace("Triangles", "Squares"), "has 'Squares' where a section begins"),
    ],
    ids=["binary", "flat", "half", "too few", "endless", "negative", "words", "unknown"],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "part.mesh"
    path.write_text(content)
    with pytest.raises(ModelError, match=re.escape(problem)) as caught:
        READ(SourceFiles(path))
    assert str(caught.value).startswith(str(path))


@given(at=st.integers(0, len(box())), length=st.integers(0, 30), put=st.binary(max_size=6))
def test_damaged_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, length: int, put: bytes
) -> None:
    path = tmp_path_factory.mktemp("medit") / "part.mesh"
    whole = box().encode()
    path.write_bytes(whole[:at] + put + whole[at + length :])
    try:
        with np.errstate(all="ignore"):
            mesh = READ(SourceFiles(path))
    except ModelError:
        return
    assert mesh.vertices.shape[1:] == mesh.faces.shape[1:] == (3,)


def test_without_the_package_the_kinds_that_can_be_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "part.mesh"
    path.write_text(box())
    with pytest.raises(ModelError, match=r"not a mesh file that can be read; .* \.stl, \.ply, "):
        load_models([f"part={path}"])


def test_with_it_they_are_more(installed: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "part.blob").write_text(box())
    done = attempt(MAIN, installed, tmp_path, "--objects", "part=part.blob", "--n", 1)
    assert done.returncode == 1
    assert ".stp, .mesh" in " ".join(done.stderr.split())


BROKEN = {
    "import no_such_module": "the source mesh of medit_meshes:SOURCE cannot be loaded "
    "(ModuleNotFoundError",
    "SOURCE = Source('Medit', ('msh',), print)":
        "the source mesh of medit_meshes:SOURCE is no cad_models.Source of that name",
    "SOURCE = Source('Medit', ('mesh',), lambda files: (V, F))": "gives no cad_models.RawMesh",
    "SOURCE = Source('Medit', ('mesh',), lambda files: RawMesh(V[:, :2], F))":
        "gives vertices of shape (3, 2) and type float64",
    "SOURCE = Source('Medit', ('mesh',), lambda files: RawMesh(V, F / 2))":
        "gives faces of shape (1, 3) and type float64",
    "SOURCE = Source('Medit', ('mesh',), lambda files: RawMesh(V, None))":
        "gives faces of shape () and type object",
    "SOURCE = Source('Medit', ('mesh',), lambda files: RawMesh(V, F, colors=V))":
        "gives colors of shape (3, 3) and type float64",
    "SOURCE = Source('Medit', ('mesh',), lambda files: RawMesh(V, F, normals=V[:2]))":
        "gives normals of shape (2, 3) and type float64",
    "SOURCE = Source('Medit', ('mesh',), lambda files: RawMesh(V, F, texture=V))":
        "gives texture of shape (3, 3) and type float64",
    "SOURCE = Source('Medit', ('mesh',), lambda files: RawMesh(V, F, millimetres_per_unit='mm'))":
        "gives millimetres_per_unit 'mm', which is no number",
    "SOURCE = Source('Medit', ('mesh',), lambda files: RawMesh(V * np.nan, F))":
        "has coordinates that are not finite numbers",
    "SOURCE = Source('Medit', ('mesh',), lambda files: RawMesh(V, F + 1))":
        "has faces that name vertices it does not have",
}  # fmt: skip
HEAD = """import numpy as np
from cad_models import RawMesh, Source
V, F = np.diag([60.0, 40.0, 20.0]), np.array([[0, 1, 2]])
"""
LOAD = """
from cad_models import ModelError, load_models
assert load_models(["ape", "part=part.ply"])[0].name == "ape"
try:
    load_models(["part=part.mesh"])
except ModelError as error:
    print(error)
"""


@pytest.mark.several_seconds
@pytest.mark.parametrize("code", BROKEN)
def test_one_that_is_broken_is_named_where_it_is_used_and_nowhere_else(
    code: str, installed: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "site/medit_meshes.py").write_text(HEAD + code + "\n")
    (tmp_path / "part.mesh").write_text(box())
    write_ply(tmp_path / "part.ply")
    [told] = run(LOAD, installed, tmp_path).splitlines()
    assert BROKEN[code] in told
