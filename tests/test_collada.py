"""COLLADA files as Blender, SketchUp and ROS packages have them: shapes, looks, limits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cad_models import CadModel, ModelError, load_models
from checked_settings import MissingDependency
from tests.looks import from_above, from_below

GREY = (190, 190, 190)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
METRES = '<unit name="meter" meter="1"/>'
CORNERS = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
QUADS = {
    "bottom": (0, 2, 6, 4), "top": (1, 5, 7, 3), "left": (0, 1, 3, 2),
    "right": (4, 6, 7, 5), "front": (0, 4, 5, 1), "back": (2, 3, 7, 6),
}  # fmt: skip
SHOW = '<node><instance_geometry url="#box">{}</instance_geometry></node>'


def source(name: str, values: Any, components: str) -> str:
    flat = np.asarray(values, float).ravel()
    params = "".join(f'<param name="{each}" type="float"/>' for each in components)
    return (
        f'<source id="{name}"><float_array id="{name}-array" count="{flat.size}">'
        f"{' '.join(f'{value:g}' for value in flat)}</float_array><technique_common>"
        f'<accessor source="#{name}-array" count="{flat.size // len(components)}" '
        f'stride="{len(components)}">{params}</accessor></technique_common></source>'
    )


def polylist(faces: list[tuple[int, ...]], material: str = "", more: str = "") -> str:
    bound = f'material="{material}"' if material else ""
    return (
        f'<polylist count="{len(faces)}" {bound}><input semantic="VERTEX" source="#vertices" '
        f'offset="0"/>{more}<vcount>{" ".join(str(len(face)) for face in faces)}</vcount>'
        f"<p>{' '.join(str(v) for face in faces for v in face)}</p></polylist>"
    )


def geometry(primitives: str, size: float = 0.1, sources: str = "", inputs: str = "") -> str:
    points = source("points", np.array(CORNERS) * size, "XYZ")
    return (
        f'<library_geometries><geometry id="box"><mesh>{points}{sources}<vertices id="vertices">'
        f'<input semantic="POSITION" source="#points"/>{inputs}</vertices>{primitives}</mesh>'
        "</geometry></library_geometries>"
    )


BOX = geometry(polylist(list(QUADS.values())))


def effect(name: str, diffuse: str, params: str = "", more: str = "", kind: str = "lambert") -> str:
    return (
        f'<effect id="{name}-effect"><profile_COMMON>{params}<technique sid="common"><{kind}>'
        f"{more}{diffuse}</{kind}></technique></profile_COMMON></effect>"
    )


def colored(name: str, color: str, more: str = "") -> str:
    return effect(name, f"<diffuse><color>{color}</color></diffuse>", "", more)


def materials(*effects: str) -> str:
    names = [each.split('"')[1].removesuffix("-effect") for each in effects]
    used = "".join(
        f'<material id="{name}"><instance_effect url="#{name}-effect"/></material>'
        for name in names
    )
    return (
        f"<library_effects>{''.join(effects)}</library_effects>"
        f"<library_materials>{used}</library_materials>"
    )


def bound(**by_symbol: str) -> str:
    each = "".join(
        f'<instance_material symbol="{symbol}" target="#{name}">'
        '<bind_vertex_input semantic="UVMap" input_semantic="TEXCOORD" input_set="0"/>'
        "</instance_material>"
        for symbol, name in by_symbol.items()
    )
    return f"<bind_material><technique_common>{each}</technique_common></bind_material>"


def document(body: str, nodes: str = SHOW.format(""), unit: str = METRES, up: str = "Z_UP") -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1"><asset>'
        f"<created>2020-01-01T00:00:00</created>{unit}<up_axis>{up}</up_axis></asset>{body}"
        f'<library_visual_scenes><visual_scene id="scene">{nodes}</visual_scene>'
        '</library_visual_scenes><scene><instance_visual_scene url="#scene"/></scene></COLLADA>'
    )


def write(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def load(path: Path, **options: Any) -> CadModel:
    [found] = load_models([f"widget={path}"], **options)
    return found


def refused(path: Path, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))


def notes_of(found: CadModel, path: Path) -> list[str]:
    assert all(note.startswith(f"{path}: ") for note in found.notes)
    return [note.removeprefix(f"{path}: ") for note in found.notes]


class TestShapes:
    @pytest.mark.parametrize("up", ["X_UP", "Y_UP", "Z_UP"])
    def test_a_box_in_metres_with_the_axes_of_the_file(self, tmp_path: Path, up: str) -> None:
        """As RViz and Gazebo show it: `up_axis` turns nothing."""
        stretched = '<node><scale>1 2 3</scale><instance_geometry url="#box"/></node>'
        found = load(write(tmp_path / "a.dae", document(BOX, stretched, up=up)))
        np.testing.assert_allclose(found.bounds, [[0, 0, 0], [100, 200, 300]], rtol=1e-5)
        assert len(found.mesh.faces) == 12
        assert len(found.mesh.vertices) == 24
        assert found.notes == ()

    @pytest.mark.parametrize(
        ("unit", "size", "expected"),
        [
            (METRES, 0.1, 100),
            ("", 0.1, 100),
            ('<unit name="millimeter" meter="0.001"/>', 30, 30),
            ('<unit name="inch" meter="0.0254"/>', 2, 50.8),
        ],
    )
    def test_units(self, tmp_path: Path, unit: str, size: float, expected: float) -> None:
        body = geometry(polylist(list(QUADS.values())), size)
        found = load(write(tmp_path / "a.dae", document(body, unit=unit)))
        np.testing.assert_allclose(found.bounds[1], [expected] * 3, rtol=1e-5)
        inches = load(tmp_path / "a.dae", units="in")
        np.testing.assert_allclose(inches.bounds[1], [25.4 * size] * 3, rtol=1e-5)

    def test_nodes_within_nodes(self, tmp_path: Path) -> None:
        """Translate, then turn about z, then a matrix that mirrors."""
        nodes = (
            "<node><translate>0.5 0 0</translate><rotate>0 0 1 90</rotate><node><matrix>"
            "-1 0 0 0 0 1 0 0 0 0 2 0 0 0 0 1</matrix>"
            '<instance_geometry url="#box"/></node></node>'
        )
        found = load(write(tmp_path / "a.dae", document(BOX, nodes)))
        np.testing.assert_allclose(found.bounds, [[400, -100, 0], [500, 0, 200]], atol=1e-3)
        triangles = found.mesh.vertices[found.mesh.faces].astype(float)
        volume = np.einsum("ij,ij->", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2]))
        assert volume / 6 == pytest.approx(2e6, rel=1e-4)

    def test_nodes_of_the_library(self, tmp_path: Path) -> None:
        library = f"<library_nodes>{SHOW.format('').replace('<node', '<node id=@part@')}"
        library = library.replace("@", '"') + "</library_nodes>"
        nodes = "".join(
            f'<node><translate>{x} 0 0</translate><instance_node url="#part"/></node>'
            for x in (0, 0.2, 0.4)
        )
        found = load(write(tmp_path / "a.dae", document(BOX + library, nodes)))
        assert len(found.mesh.faces) == 36
        np.testing.assert_allclose(found.bounds, [[0, 0, 0], [500, 100, 100]], rtol=1e-5)

    def test_a_file_without_a_scene_shows_all_its_geometries(self, tmp_path: Path) -> None:
        shown = load(write(tmp_path / "a.dae", document(BOX)))
        without = document(BOX)
        start, end = without.index("<library_visual_scenes>"), without.index("</COLLADA>")
        alone = load(write(tmp_path / "b.dae", without[:start] + without[end:]))
        np.testing.assert_array_equal(alone.mesh.vertices, shown.mesh.vertices)
        np.testing.assert_array_equal(alone.mesh.faces, shown.mesh.faces)

    def test_parts_without_a_face_are_passed_over(self, tmp_path: Path) -> None:
        body = geometry(polylist([], "empty") + polylist(list(QUADS.values())))
        assert len(load(write(tmp_path / "a.dae", document(body))).mesh.faces) == 12

    def test_triangles_polygons_fans_and_strips(self, tmp_path: Path) -> None:
        vertex = '<input semantic="VERTEX" source="#vertices" offset="0"/>'
        primitives = (
            f'<triangles count="2">{vertex}<p>0 2 6 0 6 4</p></triangles>'
            f'<polygons count="2">{vertex}<p>1 5 7 3</p><p>0 1 3 2</p></polygons>'
            f'<trifans count="1">{vertex}<p>4 6 7 5</p></trifans>'
            f'<tristrips count="2">{vertex}<p>0 4 1 5</p><p>2 3 6 7</p></tristrips>'
        )
        found = load(write(tmp_path / "a.dae", document(geometry(primitives))))
        triangles = found.mesh.vertices[found.mesh.faces].astype(float)
        volume = np.einsum("ij,ij->", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2]))
        assert len(triangles) == 12
        assert volume / 6 == pytest.approx(1e6, rel=1e-4)

    def test_lines_are_said_to_be_left_out(self, tmp_path: Path) -> None:
        vertex = '<input semantic="VERTEX" source="#vertices" offset="0"/>'
        lines = f'<lines count="1">{vertex}<p>0 7</p></lines>'
        path = write(tmp_path / "a.dae", document(geometry(polylist(list(QUADS.values())) + lines)))
        assert notes_of(load(path), path) == ["lines are left out"]
        refused(
            write(tmp_path / "b.dae", document(geometry(lines))),
            "has no triangles .lines are left out.",
        )

    def test_normals_of_the_file(self, tmp_path: Path) -> None:
        normal = source("normals", [[0.6, 0, 0.8]], "XYZ")
        triangle = (
            '<triangles count="1"><input semantic="VERTEX" source="#vertices" offset="0"/>'
            '<input semantic="NORMAL" source="#normals" offset="1"/><p>1 0 5 0 7 0</p></triangles>'
        )
        nodes = '<node><rotate>0 0 1 90</rotate><instance_geometry url="#box"/></node>'
        found = load(write(tmp_path / "a.dae", document(geometry(triangle, sources=normal), nodes)))
        np.testing.assert_allclose(found.mesh.normals, [[0, 0.6, 0.8]] * 3, atol=1e-6)

    def test_without_lxml(self, tmp_path: Path) -> None:
        """pycollada takes it where it is installed."""
        path = write(tmp_path / "a.dae", document(BOX))
        code = (
            "import sys; sys.modules['lxml'] = None; from cad_models import load_models; "
            f"print(len(load_models(['w={path}'])[0].mesh.faces))"
        )
        ended = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert ended.stdout == "12\n"


class TestLooks:
    def colors(self, path: Path, content: str) -> tuple[Any, Any, list[str]]:
        """What is seen in the middle from above and from below, and the notes."""
        found = load(write(path, content))
        above, below = from_above(found)[32, 33], from_below(found)[32, 33]
        return tuple(above.tolist()), tuple(below.tolist()), notes_of(found, path)

    def test_no_material(self, tmp_path: Path) -> None:
        assert self.colors(tmp_path / "a.dae", document(BOX)) == (GREY, GREY, [])

    def test_several_materials(self, tmp_path: Path) -> None:
        """Values are sRGB: 0.5 is 128."""
        faces = [face for name, face in QUADS.items() if name != "top"]
        primitives = polylist([QUADS["top"]], "one") + polylist(faces, "other")
        body = materials(colored("a", "1 0 0 1"), colored("b", "0 0.5 1 1")) + geometry(primitives)
        nodes = SHOW.format(bound(one="a", other="b"))
        assert self.colors(tmp_path / "a.dae", document(body, nodes)) == (RED, (0, 128, 255), [])

    def test_each_instance_has_its_own_materials(self, tmp_path: Path) -> None:
        body = materials(colored("a", "1 0 0 1"), colored("b", "0 0 1 1")) + geometry(
            polylist(list(QUADS.values()), "paint")
        )
        nodes = SHOW.format(bound(paint="a")) + (
            '<node><translate>0.1 0 0</translate><instance_geometry url="#box">'
            f"{bound(paint='b')}</instance_geometry></node>"
        )
        picture = from_above(load(write(tmp_path / "a.dae", document(body, nodes))))
        assert [tuple(picture[32, column].tolist()) for column in (24, 40)] == [RED, BLUE]

    def test_colours_of_vertices(self, tmp_path: Path) -> None:
        """They count before a material's plain colour."""
        colors = source("colors", [[0, 1, 0, 1]] * 4 + [[0, 0, 0.5, 1]] * 4, "RGBA")
        more = '<input semantic="COLOR" source="#colors" offset="0"/>'
        body = materials(colored("a", "1 0 0 1")) + geometry(
            polylist(list(QUADS.values()), "a", more), sources=colors
        )
        path = write(tmp_path / "a.dae", document(body, SHOW.format(bound(a="a"))))
        mesh = load(path).mesh
        left = mesh.vertices[:, 0] < 50
        assert {tuple(color) for color in mesh.colors[left].tolist()} == {GREEN}
        assert {tuple(color) for color in mesh.colors[~left].tolist()} == {(0, 0, 128)}

    def textured(self, path: str, set_: str = "0") -> str:
        """A texture on top, its picture's bottom left at the origin; a second, wrong set."""
        sources = source("uv", [[0, 0], [1, 0], [1, 1], [0, 1]], "ST")
        sources += source("other", [[0, 0]] * 4, "ST")
        top = (
            '<polylist count="1" material="skin">'
            '<input semantic="VERTEX" source="#vertices" offset="0"/>'
            '<input semantic="TEXCOORD" source="#other" offset="1" set="1"/>'
            '<input semantic="TEXCOORD" source="#uv" offset="1" set="0"/>'
            "<vcount>4</vcount><p>1 0 5 1 7 2 3 3</p></polylist>"
        )
        rest = polylist([face for name, face in QUADS.items() if name != "top"], "paint")
        params = (
            '<newparam sid="s"><surface type="2D"><init_from>image</init_from></surface></newparam>'
            '<newparam sid="t"><sampler2D><source>s</source></sampler2D></newparam>'
        )
        skin = effect("skin", '<diffuse><texture texture="t" texcoord="UVMap"/></diffuse>', params)
        image = (
            f'<library_images><image id="image"><init_from>{path}</init_from></image>'
            "</library_images>"
        )
        body = (
            image
            + materials(skin, colored("paint", "1 0 0 1"))
            + geometry(top + rest, sources=sources)
        )
        return document(body, SHOW.format(bound(skin="skin", paint="paint")))

    def picture(self, path: Path) -> None:
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[:32, :32], picture[:32, 32:] = GREEN, BLUE
        picture[32:, :32], picture[32:, 32:] = (255, 255, 0), (0, 255, 255)
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), picture[..., ::-1])

    @pytest.mark.parametrize(
        ("name", "lies"),
        [
            ("skin.png", "skin.png"),
            ("./skin.png", "skin.png"),
            ("textures/skin.png", "textures/skin.png"),
            ("textures/skin.png", "skin.png"),
            ("package://robot/meshes/textures/Skin.PNG", "textures/skin.png"),
            ("my%20skin.png", "my skin.png"),
            ("file:///home/me/skin.png", "skin.png"),
            ("package://robot/meshes/skin.png", "skin.png"),
            ("model://robot/meshes/skin.png", "skin.png"),
            ("../materials/textures/skin.png", "skin.png"),
            ("C:\\work\\skin.png", "skin.png"),
            ("/home/me/skin.png", "skin.png"),
        ],
    )
    def test_a_texture(self, tmp_path: Path, name: str, lies: str) -> None:
        self.picture(tmp_path / lies)
        found = load(write(tmp_path / "a.dae", self.textured(name)))
        seen = from_above(found)
        expected = [GREEN, BLUE, (255, 255, 0), (0, 255, 255)]
        places = [(20, 20), (20, 44), (44, 20), (44, 44)]
        assert [tuple(seen[place].tolist()) for place in places] == expected
        assert tuple(from_below(found)[32, 32].tolist()) == RED
        assert found.notes == ()

    def test_a_texture_that_is_not_there(self, tmp_path: Path) -> None:
        self.picture(tmp_path / "skin.png")
        folder = tmp_path / "meshes"
        folder.mkdir()
        path = write(folder / "a.dae", self.textured("../skin.png"))
        refused(path, "refers to '../skin.png', which cannot be read from its folder")
        (folder / "skin.png").write_bytes(b"GIF89a")
        refused(path, "not a picture in PNG or JPEG")

    def test_pictures_that_are_not_shown_are_not_missed(self, tmp_path: Path) -> None:
        image = "<library_images><image id='i'><init_from>no.png</init_from></image>"
        found = load(write(tmp_path / "a.dae", document(f"{image}</library_images>{BOX}")))
        assert found.notes == ()

    @pytest.mark.parametrize(
        ("kind", "emission", "expected"),
        [
            ("constant", "<emission><color>0 1 0 1</color></emission>", GREEN),
            ("phong", "<emission><color>0 0 0 1</color></emission>", RED),
        ],
    )
    def test_what_shines_of_itself(
        self, tmp_path: Path, kind: str, emission: str, expected: tuple[int, int, int]
    ) -> None:
        diffuse = "<diffuse><color>1 0 0 1</color></diffuse>"
        body = materials(effect("a", diffuse, "", emission, kind)) + geometry(
            polylist(list(QUADS.values()), "a")
        )
        content = document(body, SHOW.format(bound(a="a")))
        assert self.colors(tmp_path / "a.dae", content) == (expected, expected, [])

    def test_a_texture_that_lets_light_through(self, tmp_path: Path) -> None:
        rgba = np.full((4, 4, 4), (0, 255, 0, 128), np.uint8)
        cv2.imwrite(str(tmp_path / "skin.png"), rgba)
        above, _, notes = self.colors(tmp_path / "a.dae", self.textured("skin.png"))
        assert above == GREEN
        assert notes == ["textures that let light through are shown opaque"]

    @pytest.mark.parametrize(
        ("old", "new", "note"),
        [
            (">skin.png<", "> <", "textures without a file are left out"),
            ('semantic="TEXCOORD"', 'semantic="TANGENT"',
             "textures of parts without texture coordinates are left out"),
        ],
    )  # fmt: skip
    def test_a_texture_of_which_something_is_missing(
        self, tmp_path: Path, old: str, new: str, note: str
    ) -> None:
        self.picture(tmp_path / "skin.png")
        content = self.textured("skin.png")
        assert old in content
        assert self.colors(tmp_path / "a.dae", content.replace(old, new)) == (GREY, RED, [note])

    def test_what_lets_light_through(self, tmp_path: Path) -> None:
        clear = '<transparent opaque="A_ONE"><color>1 1 1 1</color></transparent>'
        clear += "<transparency><float>0.5</float></transparency>"
        body = materials(colored("a", "1 0 0 1", clear)) + geometry(
            polylist(list(QUADS.values()), "a")
        )
        assert self.colors(tmp_path / "a.dae", document(body, SHOW.format(bound(a="a")))) == (
            RED, RED, ["materials that let light through are shown opaque"],
        )  # fmt: skip

    @pytest.mark.parametrize(
        "broken",
        [
            colored("a", "1,0 0,0 0,0 1,0"),
            effect("a", '<diffuse><texture texture="none" texcoord=""/></diffuse>',
                   '<newparam sid="t"><sampler2D><source>none</source></sampler2D></newparam>'),
            colored("c", "1 0 0 1"),
        ],
    )  # fmt: skip
    def test_a_material_that_cannot_be_read(self, tmp_path: Path, broken: str) -> None:
        """What is made of it is shown nonetheless, grey, and the rest in its colour."""
        faces = [face for name, face in QUADS.items() if name != "top"]
        primitives = polylist([QUADS["top"]], "one") + polylist(faces, "other")
        body = materials(broken, colored("b", "0 0 1 1")) + geometry(primitives)
        nodes = SHOW.format(bound(one="a", other="b"))
        above, below, [note] = self.colors(tmp_path / "a.dae", document(body, nodes))
        assert (above, below) == (GREY, BLUE)
        assert note.startswith("what cannot be read is left out (")

    def test_parts_that_cannot_be_read(self, tmp_path: Path) -> None:
        nodes = SHOW.format("") + '<node><instance_geometry url="#none"/></node>'
        path = write(tmp_path / "a.dae", document(BOX, nodes))
        [note] = notes_of(load(path), path)
        assert note.startswith("what cannot be read is left out (")
        assert "#none" in note


class TestRefusals:
    def test_without_the_parser(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
        path = write(tmp_path / "a.dae", document(BOX))
        with pytest.raises(MissingDependency, match="pip install pycollada") as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}, a COLLADA file, needs pycollada; ")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("<html/>", "cannot be read as COLLADA .it begins with 'html'"),
            ("<COLLADA", "cannot be read as COLLADA"),
            (document(BOX)[:900], "cannot be read as COLLADA"),
            (document(BOX).replace('meter="1"', 'meter="0"'), "its unit is 0.0 metres"),
            (document(BOX).replace('meter="1"', 'meter="inf"'), "its unit is inf metres"),
            (document(BOX).replace("0 0 0 0 0 0.1", "0 0 0 0 0 x"), "Corrupted float array"),
            (document(BOX).replace("<p>0 ", "<p>8 "), "beyond the limits"),
            (document(BOX).replace("<p>0 ", "<p>-1 "), "points it does not have"),
            (document(BOX).replace("<vcount>4", "<vcount>2000000000"), "has 20000000.. triangles"),
            (document(BOX).replace("<vcount>4", "<vcount>5"), "polygons with more corners than"),
            (document(BOX).replace("<vcount>4", "<vcount>-4"), "polygons with more corners than"),
            (document(""), "has no triangles .what cannot be read is left out"),
        ],
    )
    def test_malformed(self, tmp_path: Path, content: str, message: str) -> None:
        refused(write(tmp_path / "a.dae", content), message)

    def test_an_archive_is_not_opened(self, tmp_path: Path) -> None:
        import zipfile

        with zipfile.ZipFile(tmp_path / "a.dae", "w") as archive:
            archive.writestr("a.dae", document(BOX))
        refused(tmp_path / "a.dae", "cannot be read as COLLADA")

    def test_entities(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("0.1")
        laughs = "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 11))
        for entities, use in (
            (f'<!ENTITY x SYSTEM "file://{tmp_path}/secret">', "&x;"),
            (f'<!ENTITY a0 "0 ">{laughs}', "&a10;"),
        ):
            content = document(BOX).replace("0 0 0 0 0 0.1", f"{use} 0 0 0 0 0.1")
            content = content.replace("<COLLADA", f"<!DOCTYPE COLLADA [{entities}]><COLLADA", 1)
            refused(write(tmp_path / "a.dae", content), "it declares an XML document type")

    def test_nodes_of_nodes_of_nodes(self, tmp_path: Path) -> None:
        """Ten to the ninth boxes, or nodes of nothing, in a few kilobytes."""
        for inner in ('<instance_geometry url="#box"/>', ""):
            levels = f'<node id="n0">{inner}</node>' + "".join(
                f'<node id="n{k}">{f"<instance_node url=@#n{k - 1}@/>" * 10}</node>'.replace(
                    "@", '"'
                )
                for k in range(1, 10)
            )
            nodes = '<node><instance_node url="#n9"/></node>'
            body = f"{BOX}<library_nodes>{levels}</library_nodes>"
            refused(
                write(tmp_path / "a.dae", document(body, nodes)),
                "shows its parts more than 10000 times",
            )

    def test_a_long_chain_of_nodes(self, tmp_path: Path) -> None:
        nodes = "<node>" * 150 + SHOW.format("") + "</node>" * 150
        refused(write(tmp_path / "a.dae", document(BOX, nodes)), "nodes more than .* levels deep")

    def test_nodes_in_a_circle(self, tmp_path: Path) -> None:
        nodes = '<node id="a"><instance_node url="#b"/></node>'
        nodes += '<node id="b"><instance_node url="#a"/></node>'
        body = f"{BOX}<library_nodes>{nodes}</library_nodes>"
        path = write(tmp_path / "a.dae", document(body, '<node><instance_node url="#a"/></node>'))
        refused(path, "cannot be read as COLLADA|has no triangles")

    def test_nodes_that_wait_for_each_other(self, tmp_path: Path) -> None:
        """Each of which pycollada would try anew as often as there are nodes."""
        levels = "".join(
            f'<node id="n{k}"><instance_node url="#n{k + 1}"/></node>' for k in range(1500)
        )
        path = write(tmp_path / "a.dae", document(f"{BOX}<library_nodes>{levels}</library_nodes>"))
        refused(path, "has too many nodes that show others")

    def test_elements_without_end(self, tmp_path: Path) -> None:
        content = document(BOX, SHOW.format("") + "<node/>" * 300_000)
        refused(write(tmp_path / "a.dae", content), "has more than 300000 XML elements")

    def test_triangles_times_instances(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Seen before one of them is placed."""
        monkeypatch.setattr(
            "cad_models._files.collada.placed", lambda *_: pytest.fail("it was placed")
        )
        body = geometry(polylist(list(QUADS.values()) * 100))
        path = write(tmp_path / "a.dae", document(body, SHOW.format("") * 2000))
        refused(path, "has 2400000 triangles and the limit is 2000000")

    @pytest.mark.parametrize("tag", ["color", "matrix", "Name_array"])
    def test_lists_without_end(self, tmp_path: Path, tag: str) -> None:
        long = f"<extra><{tag}>{'0 ' * 20_000}</{tag}></extra>"
        refused(write(tmp_path / "a.dae", document(BOX + long)), f"<{tag}> holds more than 20000")
