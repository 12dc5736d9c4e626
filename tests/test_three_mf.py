"""3MF files as slicers and CAD programs write them: shapes, looks, limits."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from cad_models import CadModel, ModelError, load_models
from tests.looks import from_above, from_below

MICROSOFT = "http://schemas.microsoft.com/3dmanufacturing/"
NAMESPACES = (
    f'xmlns="{MICROSOFT}core/2015/02" xmlns:m="{MICROSOFT}material/2015/02" '
    f'xmlns:p="{MICROSOFT}production/2015/06" xmlns:b="{MICROSOFT}beamlattice/2017/02" '
    f'xmlns:s="{MICROSOFT}slice/2015/07" xmlns:slic3rpe="http://schemas.slic3r.org/3mf/2017/06"'
)
CORNERS = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
TOP, BOTTOM = [(1, 5, 7), (1, 7, 3)], [(0, 2, 6), (0, 6, 4)]
SIDES = [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1), (2, 3, 7), (2, 7, 6)]
ITEM = '<item objectid="2"/>'
GREY = (190, 190, 190)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def mesh(
    size: float = 100.0, every: str = "", top: tuple[str, str] = ("", ""), more: str = ""
) -> str:
    """A box from the origin; `every` triangle and both of its `top` have such attributes."""
    vertices = "".join(
        f'<vertex x="{x * size}" y="{y * size}" z="{z * size}"/>' for x, y, z in CORNERS
    )
    looks = [every] * (len(SIDES) + len(BOTTOM)) + [each or every for each in top]
    triangles = "".join(
        f'<triangle v1="{a}" v2="{b}" v3="{c}" {look}/>'
        for (a, b, c), look in zip(SIDES + BOTTOM + TOP, looks, strict=True)
    )
    return f"<mesh><vertices>{vertices}</vertices><triangles>{triangles}</triangles>{more}</mesh>"


def shown(content: str, number: int = 2, attributes: str = 'type="model"') -> str:
    return f'<object id="{number}" {attributes}>{content}</object>'


def assembly(*components: str) -> str:
    return f"<components>{''.join(f'<component {each}/>' for each in components)}</components>"


def model(resources: str, build: str = ITEM, attributes: str = 'unit="millimeter"') -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><model {attributes} {NAMESPACES}>'
        f"<resources>{resources}</resources><build>{build}</build></model>"
    )


def relationships(target: str) -> str:
    kind = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"
    return (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Target="{target}" Id="rel0" Type="{kind}"/></Relationships>'
    )


def write(path: Path, root: str, others: dict[str, str | bytes] | None = None) -> Path:
    files = {"_rels/.rels": relationships("/3D/3dmodel.model"), "3D/3dmodel.model": root}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, **(others or {})}.items():
            archive.writestr(name, content)
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


def png(picture: Any) -> bytes:
    return cv2.imencode(".png", np.asarray(picture, np.uint8)[..., ::-1])[1].tobytes()


class TestShapes:
    def test_parts_of_one_id_in_files_of_their_own(self, tmp_path: Path) -> None:
        """As Bambu Studio and OrcaSlicer write them."""
        parts = assembly(
            'p:path="/3D/Objects/a.model" objectid="1"',
            'p:path="/3D/Objects/b.model" objectid="1" transform="1 0 0 0 1 0 0 0 1 150 0 0"',
        )
        part = {
            f"3D/Objects/{name}.model": model(shown(mesh(size), 1), "")
            for name, size in (("a", 100.0), ("b", 30.0))
        }
        found = load(write(tmp_path / "a.3mf", model(shown(parts)), part))
        assert len(found.mesh.faces) == 24
        assert found.diameter == pytest.approx(np.linalg.norm([180, 100, 100]))
        np.testing.assert_allclose(found.bounds, [[0, 0, 0], [180, 100, 100]])
        assert found.notes == ()

    def test_an_item_of_another_file(self, tmp_path: Path) -> None:
        other = {"3D/part.model": model(shown(mesh(40), 7), "")}
        item = '<item objectid="7" p:path="/3D/part.model" transform="0 1 0 -1 0 0 0 0 1 5 6 7"/>'
        found = load(write(tmp_path / "a.3mf", model(shown(mesh(), 7), item), other))
        np.testing.assert_allclose(found.bounds, [[-35, 6, 7], [5, 46, 47]])

    def test_each_file_has_its_own_unit(self, tmp_path: Path) -> None:
        """The transform that places a part is in the unit of the file that places it."""
        place = 'p:path="/3D/b.model" objectid="1" transform="1 0 0 0 1 0 0 0 1 20 0 0"'
        other = {"3D/b.model": model(shown(mesh(2), 1), "", 'unit="inch"')}
        root = model(shown(assembly(place)), ITEM, 'unit="centimeter"')
        found = load(write(tmp_path / "a.3mf", root, other))
        np.testing.assert_allclose(found.bounds, [[200, 0, 0], [250.8, 50.8, 50.8]], rtol=1e-6)

    def test_transforms_within_transforms(self, tmp_path: Path) -> None:
        inner = shown(mesh(10), 4) + shown(
            assembly('objectid="4" transform="2 0 0 0 1 0 0 0 1 0 0 0"'), 3
        )
        outer = shown(assembly('objectid="3" transform="0 1 0 -1 0 0 0 0 1 50 0 0"'))
        item = '<item objectid="2" transform="1 0 0 0 1 0 0 0 -1 0 0 9"/>'
        found = load(write(tmp_path / "a.3mf", model(inner + outer, item)))
        np.testing.assert_allclose(found.bounds, [[40, 0, -1], [50, 20, 9]])
        triangles = found.mesh.vertices[found.mesh.faces].astype(float)
        volume = np.einsum("ij,ij->", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2]))
        assert volume / 6 == pytest.approx(2000)

    @pytest.mark.parametrize("kind", ["support", "solidsupport", "other"])
    def test_what_is_no_model_is_left_out(self, tmp_path: Path, kind: str) -> None:
        both = shown(mesh(), 3) + shown(mesh(300), 4, f'type="{kind}"')
        parts = shown(assembly('objectid="3"', 'objectid="4"'))
        found = load(write(tmp_path / "a.3mf", model(both + parts)))
        np.testing.assert_allclose(found.bounds, [[0, 0, 0], [100, 100, 100]])

    def test_what_is_not_built_is_left_out(self, tmp_path: Path) -> None:
        resources = shown(mesh()) + shown(mesh(300), 3)
        assert len(load(write(tmp_path / "a.3mf", model(resources))).mesh.faces) == 12
        refused(
            write(tmp_path / "b.3mf", model(resources, "")), "no triangles in what its build shows"
        )

    def test_modifiers_of_prusaslicer_are_left_out(self, tmp_path: Path) -> None:
        """Volumes of one object are in one mesh; what each is for stands elsewhere."""
        volumes = "".join(
            f'<volume firstid="{first}" lastid="{last}"><metadata type="volume" key="volume_type" '
            f'value="{kind}"/></volume>'
            for first, last, kind in ((0, 9, "ModelPart"), (10, 11, "ParameterModifier"))
        )
        settings = f'<config><object id="2">{volumes}</object></config>'
        others: dict[str, str | bytes] = {"Metadata/Slic3r_PE_model.config": settings}
        found = load(write(tmp_path / "a.3mf", model(shown(mesh())), others))
        assert len(found.mesh.faces) == 10

    @pytest.mark.parametrize(
        ("target", "name"),
        [
            ("/3D/other.model", "3D/other.model"),
            ("3D/Other.model", "3d/OTHER.MODEL"),
            ("/3D/my%20part.model", "3D/my part.model"),
        ],
    )
    def test_the_root_is_what_the_archive_says(
        self, tmp_path: Path, target: str, name: str
    ) -> None:
        others: dict[str, str | bytes] = {
            "_rels/.rels": relationships(target), name: model(shown(mesh(40)))
        }  # fmt: skip
        found = load(write(tmp_path / "a.3mf", model(shown(mesh())), others))
        np.testing.assert_allclose(found.bounds[1], [40, 40, 40])

    def test_an_archive_without_relationships(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.3mf", "w") as archive:
            archive.writestr("3D/thing.model", model(shown(mesh())))
        assert len(load(tmp_path / "a.3mf").mesh.faces) == 12

    @pytest.mark.parametrize(
        ("name", "expected"),
        [("micron", 0.1), ("centimeter", 1000), ("inch", 2540), ("foot", 30480), ("meter", 1e5)],
    )
    def test_units(self, tmp_path: Path, name: str, expected: float) -> None:
        size = 100 * 20 / expected
        root = model(shown(mesh(size)), ITEM, f'unit="{name}"')
        np.testing.assert_allclose(
            load(write(tmp_path / "a.3mf", root)).bounds[1], [20] * 3, rtol=1e-6
        )


MATERIALS = (
    '<basematerials id="1"><base name="a" displaycolor="#FF0000"/>'
    '<base name="b" displaycolor="#0000ffFF"/></basematerials>'
)
COLORS = (
    '<m:colorgroup id="5"><m:color color="#00FF00"/><m:color color="#800000"/>'
    '<m:color color="#000080"/></m:colorgroup>'
)


class TestLooks:
    def colors(self, tmp_path: Path, resources: str) -> tuple[Any, Any, list[str]]:
        """What is seen in the middle from above and from below, and the notes."""
        path = write(tmp_path / "a.3mf", model(resources))
        found = load(path)
        above, below = from_above(found)[32, 33], from_below(found)[32, 33]
        return tuple(above.tolist()), tuple(below.tolist()), notes_of(found, path)

    def test_a_material_for_the_whole_object(self, tmp_path: Path) -> None:
        red = shown(mesh(), 2, 'pid="1" pindex="0"')
        assert self.colors(tmp_path, MATERIALS + red) == (RED, RED, [])

    def test_no_colours_at_all(self, tmp_path: Path) -> None:
        assert self.colors(tmp_path, MATERIALS + shown(mesh())) == (GREY, GREY, [])

    @pytest.mark.parametrize("look", ['pid="5" p1="0"', 'pid="5" p1="0" p2="0" p3="0"'])
    def test_a_triangle_of_its_own_colour(self, tmp_path: Path, look: str) -> None:
        some = shown(mesh(top=(look, look)), 2, 'pid="1" pindex="1"')
        assert self.colors(tmp_path, MATERIALS + COLORS + some) == (GREEN, BLUE, [])

    def test_a_number_alone_is_of_the_objects_group(self, tmp_path: Path) -> None:
        some = shown(mesh(top=('p1="0"', 'p1="0"')), 2, 'pid="1" pindex="1"')
        assert self.colors(tmp_path, MATERIALS + some) == (RED, BLUE, [])

    def test_a_group_alone_changes_nothing(self, tmp_path: Path) -> None:
        some = shown(mesh(top=('pid="5"', 'pid="5"')), 2, 'pid="1" pindex="1"')
        assert self.colors(tmp_path, MATERIALS + COLORS + some) == (BLUE, BLUE, [])

    def test_some_triangles_without_a_look(self, tmp_path: Path) -> None:
        look = 'pid="5" p1="0"'
        some = shown(mesh(top=(look, look)))
        assert self.colors(tmp_path, COLORS + some) == (GREEN, GREY, [])

    def test_colours_of_corners_blend(self, tmp_path: Path) -> None:
        """Red 128 on the left, blue 128 on the right, of the top alone."""
        # TOP's corners are at x = 0, 1, 1 and 0, 1, 0.
        look = 'pid="5" p1="1" p2="2" p3="2"', 'pid="5" p1="1" p2="2" p3="1"'
        path = write(tmp_path / "a.3mf", model(COLORS + shown(mesh(top=look))))
        picture = from_above(load(path)).astype(int)
        for column in (17, 24, 32, 40, 47):
            # The box is 32 pixels wide, its left edge at 16.
            part = (column + 0.5 - 16) / 32
            expected = [128 * (1 - part), 0, 128 * part]
            np.testing.assert_allclose(picture[30, column], expected, atol=1.5)

    def test_two_objects_in_two_colours(self, tmp_path: Path) -> None:
        parts = shown(mesh(), 3, 'pid="1" pindex="0"') + shown(mesh(), 4, 'pid="1" pindex="1"')
        both = shown(assembly('objectid="3"', 'objectid="4" transform="1 0 0 0 1 0 0 0 1 100 0 0"'))
        path = write(tmp_path / "a.3mf", model(MATERIALS + parts + both))
        picture = from_above(load(path))
        assert [tuple(picture[32, column].tolist()) for column in (24, 40)] == [RED, BLUE]

    def test_colours_of_another_file_are_its_own(self, tmp_path: Path) -> None:
        blue = MATERIALS.replace("FF0000", "0000FF")
        other: dict[str, str | bytes] = {
            "3D/b.model": model(blue + shown(mesh(), 2, 'pid="1" pindex="0"'), "")
        }
        item = '<item p:path="/3D/b.model" objectid="2"/>'
        path = write(tmp_path / "a.3mf", model(MATERIALS, item), other)
        assert tuple(from_above(load(path))[32, 32].tolist()) == BLUE

    @pytest.mark.parametrize("kind", [".png", ".jpg"])
    def test_a_texture(self, tmp_path: Path, kind: str) -> None:
        """Its top left red, the rest in other colours; u to the right, v up."""
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[:32, :32], picture[:32, 32:] = RED, GREEN
        picture[32:, :32], picture[32:, 32:] = BLUE, (255, 255, 0)
        content = cv2.imencode(kind, picture[..., ::-1])[1].tobytes()
        path = write(
            tmp_path / "a.3mf",
            model(self.textured(f"/3D/Textures/skin{kind}")),
            {f"3D/Textures/skin{kind}": content},
        )
        seen = from_above(load(path)).astype(int)
        for row, column, expected in (
            (20, 20, RED), (20, 44, GREEN), (44, 20, BLUE), (44, 44, (255, 255, 0)),
        ):  # fmt: skip
            np.testing.assert_allclose(seen[row, column], expected, atol=4)
        np.testing.assert_allclose(from_below(load(path))[32, 32].astype(int), RED, atol=4)

    def textured(self, path: str, style: str = "") -> str:
        """The texture on top, and elsewhere the first material, red."""
        corners = "".join(f'<m:tex2coord u="{u}" v="{v}"/>' for u in (0, 1) for v in (0, 1))
        # TOP's corners are at (0, 0), (1, 0), (1, 1) and (0, 0), (1, 1), (0, 1).
        look = 'pid="8" p1="0" p2="2" p3="3"', 'pid="8" p1="0" p2="3" p3="1"'
        return (
            f'<m:texture2d id="7" path="{path}" contenttype="image/png" {style}/>'
            f'<m:texture2dgroup id="8" texid="7">{corners}</m:texture2dgroup>{MATERIALS}'
            + shown(mesh(top=look), 2, 'pid="1" pindex="0"')
        )

    def test_a_texture_that_is_not_there_or_no_picture(self, tmp_path: Path) -> None:
        root = model(self.textured("/3D/skin.png"))
        refused(write(tmp_path / "a.3mf", root), "it has no '3d/skin.png'")
        refused(
            write(tmp_path / "b.3mf", root, {"3D/skin.png": b"no"}), "not a picture in PNG or JPEG"
        )

    def test_materials_mixed(self, tmp_path: Path) -> None:
        mixed = (
            '<m:compositematerials id="6" matid="1" matindices="0 1">'
            '<m:composite values="0.75 0.25"/></m:compositematerials>'
        )
        found = self.colors(tmp_path, MATERIALS + mixed + shown(mesh(), 2, 'pid="6" pindex="0"'))
        assert found == (
            (191, 0, 64),
            (191, 0, 64),
            ["mixed materials are shown in the mean of their colours"],
        )

    def test_looks_one_above_the_other(self, tmp_path: Path) -> None:
        layers = (
            '<m:multiproperties id="6" pids="1 5"><m:multi pindices="0 2"/>'
            '<multi pindices="1"/></m:multiproperties>'
        )
        look = ('pid="6" p1="1"',) * 2
        some = shown(mesh(top=look), 2, 'pid="6" pindex="0"')
        assert self.colors(tmp_path, MATERIALS + COLORS + layers + some) == (
            GREEN,
            (0, 0, 128),
            ["of looks laid over each other only the uppermost is shown"],
        )

    @pytest.mark.parametrize(
        ("resources", "above", "note"),
        [
            (
                shown(mesh(every='paint_color="4"')),
                GREY,
                "colours painted on in a slicer are left out",
            ),
            (
                shown(mesh(every='slic3rpe:mmu_segmentation="8"')),
                GREY,
                "colours painted on in a slicer are left out",
            ),
            (
                shown(mesh(more='<b:beamlattice minlength="1"><b:beams/></b:beamlattice>')),
                GREY,
                "the beams of lattices are left out",
            ),
            (
                '<s:slicestack id="9"/>' + shown(mesh()),
                GREY,
                "slices are left out and meshes shown",
            ),
            (
                MATERIALS.replace("#FF0000", "#FF000040") + shown(mesh(), 2, 'pid="1" pindex="0"'),
                RED,
                "colours that let light through are shown opaque",
            ),
            (
                MATERIALS.replace("#FF0000", "red") + shown(mesh(), 2, 'pid="1" pindex="0"'),
                GREY,
                "colours that are not written as #RRGGBB are shown grey",
            ),
            (
                shown(mesh(), 2, 'pid="9" pindex="0"'),
                GREY,
                "triangles whose look the file does not hold are shown grey",
            ),
            (
                MATERIALS + shown(mesh(), 2, 'pid="1" pindex="2"'),
                GREY,
                "triangles whose look the file does not hold are shown grey",
            ),
        ],
    )
    def test_what_cannot_be_shown_as_meant_is_said(
        self, tmp_path: Path, resources: str, above: tuple[int, int, int], note: str
    ) -> None:
        assert self.colors(tmp_path, resources) == (above, above, [note])

    def test_filaments_of_a_slicer(self, tmp_path: Path) -> None:
        others: dict[str, str | bytes] = {"Metadata/model_settings.config": "<config/>"}
        path = write(tmp_path / "a.3mf", model(shown(mesh())), others)
        assert notes_of(load(path), path) == ["colours of the slicer's filaments are left out"]

    def test_a_texture_that_does_not_repeat(self, tmp_path: Path) -> None:
        resources = self.textured("/a.png", 'tilestyleu="clamp"').replace('u="1"', 'u="1.5"')
        path = write(tmp_path / "a.3mf", model(resources), {"a.png": png([[RED, BLUE]])})
        assert notes_of(load(path), path) == [
            "textures that do not repeat are repeated beyond their borders"
        ]

    @pytest.mark.parametrize("alpha", [255, 254])
    def test_a_texture_that_lets_light_through(self, tmp_path: Path, alpha: int) -> None:
        picture = np.full((8, 8, 4), 255, np.uint8)
        picture[2, 3, 3] = alpha
        others: dict[str, str | bytes] = {"a.png": cv2.imencode(".png", picture)[1].tobytes()}
        path = write(tmp_path / "a.3mf", model(self.textured("/a.png")), others)
        note = "textures that let light through are shown opaque"
        assert notes_of(load(path), path) == ([] if alpha == 255 else [note])


COLOR = '<m:color color="#FF0000"/>'
MIXTURE = (
    '<basematerials id="1"><base displaycolor="#FF0000"/><base displaycolor="#0000FF"/>'
    '</basematerials><m:compositematerials id="6" matid="1" matindices="0 1">'
    '<m:composite values="{}"/></m:compositematerials>'
)


class TestRefusals:
    @pytest.mark.parametrize(
        ("prefix", "name"), [("b", "beamlattice/2017/02"), ("s", "slice/2015/07")]
    )
    def test_an_extension_that_is_required(self, tmp_path: Path, prefix: str, name: str) -> None:
        root = model(shown(mesh()), ITEM, f'requiredextensions="p m {prefix}"')
        refused(
            write(tmp_path / "a.3mf", root), f"requires the 3MF extension {MICROSOFT}{name}, which"
        )

    def test_extensions_that_are_read(self, tmp_path: Path) -> None:
        root = model(shown(mesh()), ITEM, 'requiredextensions="p m"')
        assert len(load(write(tmp_path / "a.3mf", root)).mesh.faces) == 12

    @pytest.mark.parametrize(
        ("root", "message"),
        [
            (model(shown(mesh()), '<item objectid="3"/>'), "shows object 3 .* does not have"),
            (model(shown(mesh().replace('v1="0"', 'v1="8"'))), "name vertices it does not have"),
            (model(shown(mesh().replace('v1="0"', 'v1="-1"'))), "name vertices it does not have"),
            (model(shown(mesh().replace('v1="0"', ""))), "cannot be read as 3MF .'v1'"),
            (model(shown(mesh().replace('x="0.0"', 'x="nan"'))), "not finite"),
            (model(shown(mesh()), '<item objectid="2" transform="1 0"/>'), "cannot be read as 3MF"),
            (model(shown(mesh()), ITEM, 'unit="mile"'), "cannot be read as 3MF .'mile'"),
            ("<html/>", "begins with 'html'"),
            (model(shown(mesh())).replace("UTF-8", "UTF-UTF"), "unknown encoding"),
            ("<model", "cannot be read as 3MF .*unclosed"),
            (model(shown(mesh())).replace("UTF-8", "cp037"), "'cp037' is not an encoding of XML"),
            (model('<vertex x="0" y="0" z="0"/>'), "part of a mesh outside an object"),
            (model('<m:color color="#FF0000"/>'), "a colour outside a group of colours"),
            (model('<m:tex2coord u="0" v="0"/>'), "texture coordinates outside a group of them"),
            (model('<m:composite values="1"/>'), "a mixture outside a group of them"),
            (model('<m:multi pindices="0"/>'), "layers outside a group of them"),
            (model('<m:multiproperties id="9" pids=""/>'), "cannot be read as 3MF"),
            (model(MIXTURE.format("0 0")), "a mixture of nothing"),
            (model(MIXTURE.format("2 -1")), "a mixture of nothing"),
            (
                model('<m:texture2dgroup id="8" texid="7"><m:tex2coord u="0" v="0"/>'
                      "</m:texture2dgroup>" + shown(mesh(40, 'pid="8" p1="0"'))),
                "names texture 7, which it does not have",
            ),
        ],
    )  # fmt: skip
    def test_malformed(self, tmp_path: Path, root: str, message: str) -> None:
        refused(write(tmp_path / "a.3mf", root), message)

    def test_a_part_within_itself(self, tmp_path: Path) -> None:
        circle = shown(assembly('objectid="3"')) + shown(assembly('objectid="2"'), 3)
        refused(write(tmp_path / "a.3mf", model(circle)), "has an object that is part of itself")

    def test_parts_of_parts_of_parts(self, tmp_path: Path) -> None:
        """Ten to the twelfth triangles, or assemblies of nothing, in two kilobytes."""
        levels = "".join(shown(assembly(*[f'objectid="{k - 1}"'] * 10), k) for k in range(3, 15))
        for inner in (mesh(), ""):
            root = model(shown(inner) + levels, '<item objectid="14"/>')
            path = write(tmp_path / "a.3mf", root)
            assert path.stat().st_size < 2500
            refused(path, "shows its parts more than 10000 times")

    def test_a_long_chain_of_parts(self, tmp_path: Path) -> None:
        chain = "".join(shown(assembly(f'objectid="{k - 1}"'), k) for k in range(3, 5000))
        root = model(shown(mesh()) + chain, '<item objectid="4999"/>')
        refused(write(tmp_path / "a.3mf", root), "parts more than 100 levels deep")

    def test_triangles_times_instances(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Seen before one of them is placed."""
        monkeypatch.setattr(
            "cad_models._mesh.placed.placed", lambda *_: pytest.fail("it was placed")
        )
        fan = '<triangle v1="0" v2="1" v3="2"/>' * 1000
        part = shown(mesh().replace("<triangles>", f"<triangles>{fan}"))
        path = write(tmp_path / "a.3mf", model(part, ITEM * 2000))
        assert path.stat().st_size < 10_000
        refused(path, "has 2024000 triangles and the limit is 2000000")

    def test_more_triangles_than_can_be(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cad_models._files.three_mf.model.MAX_FACES", 11)
        monkeypatch.setattr("cad_models._mesh.checked.MAX_FACES", 11)
        refused(write(tmp_path / "a.3mf", model(shown(mesh()))), "has 12 triangles and the limit")

    @pytest.mark.parametrize(
        ("resources", "message"),
        [
            (shown(mesh()), "has 8 vertices and the limit is"),
            (f'<m:colorgroup id="1">{COLOR * 8}</m:colorgroup>', "has more than 7 colours"),
        ],
        ids=["vertices", "colours"],
    )  # fmt: skip
    def test_more_entries_than_can_be(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resources: str, message: str
    ) -> None:
        monkeypatch.setattr("cad_models._files.three_mf.model.MAX_VERTICES", 7)
        refused(write(tmp_path / "a.3mf", model(resources)), message)

    @pytest.mark.parametrize("what", ["component", "item"])
    def test_more_instances_than_can_be(self, tmp_path: Path, what: str) -> None:
        parts = shown(assembly(*['objectid="2"'] * 10_001), 3) if what == "component" else ""
        root = model(shown(mesh()) + parts, ITEM * (1 if parts else 10_001))
        refused(write(tmp_path / "a.3mf", root), "shows its parts more than 10000 times")

    def test_an_archive_that_says_less_than_it_holds(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The size in its directory is not what counts."""
        monkeypatch.setattr("cad_models._files.three_mf.archive.MAX_BYTES", 2**20)
        root = model(shown(mesh())).replace("<build>", " " * 2**21 + "<build>")
        content = bytearray(write(tmp_path / "a.3mf", root).read_bytes())
        for signature, offset in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
            at = content.index(signature, content.index(signature) + 1) + offset
            assert struct.unpack_from("<I", content, at)[0] == len(root)
            struct.pack_into("<I", content, at, 2**30)
        (tmp_path / "a.3mf").write_bytes(content)
        refused(tmp_path / "a.3mf", "unpacks to more than 1 MiB|cannot be read as 3MF")
        write(tmp_path / "a.3mf", root)
        refused(tmp_path / "a.3mf", "unpacks to more than 1 MiB; simplify the mesh first")

    def test_what_is_not_needed_is_not_unpacked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cad_models._files.three_mf.archive.MAX_BYTES", 2**20)
        path = write(tmp_path / "a.3mf", model(shown(mesh())), {"big": bytes(2**22)})
        assert len(load(path).mesh.faces) == 12

    def test_an_archive_of_very_many_files(self, tmp_path: Path) -> None:
        others: dict[str, str | bytes] = {str(number): b"" for number in range(10_000)}
        path = write(tmp_path / "a.3mf", model(shown(mesh())), others)
        refused(path, "holds more than 10000 files")

    @pytest.mark.parametrize("kind", ["PNG", "TGA"])
    def test_textures_that_would_fill_the_memory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        """Each is small enough, all together are not, whether or not a size is looked for."""
        monkeypatch.setattr("cad_models._files.textures.MAX_PIXELS", 2 * 64 * 64)
        textures = "".join(
            f'<m:texture2d id="{10 + k}" path="/{k}.png" contenttype="image/png"/>'
            f'<m:texture2dgroup id="{20 + k}" texid="{10 + k}"><m:tex2coord u="0" v="0"/>'
            "</m:texture2dgroup>" + shown(mesh(), 30 + k, f'pid="{20 + k}" pindex="0"')
            for k in range(3)
        )
        picture = io.BytesIO()
        PIL.Image.new("RGB", (64, 64)).save(picture, kind)
        others: dict[str, str | bytes] = {f"{k}.png": picture.getvalue() for k in range(3)}
        for count in (2, 3):
            items = "".join(f'<item objectid="{30 + k}"/>' for k in range(count))
            path = write(tmp_path / f"{count}.3mf", model(textures, items), others)
        assert load(tmp_path / "2.3mf").mesh.texture is not None
        refused(path, "has textures of more than 8192 pixels in all")

    @pytest.mark.parametrize(
        ("resources", "message"),
        [
            ("<a>" * 500 + "</a>" * 500, "XML of more than 200 levels"),
            (f'<m:multiproperties id="9" pids="{"1 " * 9999}"/>', "a list of more than"),
            (
                MATERIALS + f'<m:compositematerials id="6" matid="1" matindices="{"0 " * 9999}"/>',
                "a list of more than",
            ),
            ('<m:colorgroup id="{}"/>', "more than 100000 objects"),
            (f'<a b="{" " * 2**21}"/>', "a tag or a text of more than 1048576 bytes"),
        ],
    )
    def test_what_would_grow(self, tmp_path: Path, resources: str, message: str) -> None:
        if "{}" in resources:
            resources = "".join(resources.format(k) for k in range(100_002))
        refused(write(tmp_path / "a.3mf", model(resources + shown(mesh()))), message)

    def test_entities(self, tmp_path: Path) -> None:
        """Neither a file of the user's nor a billion laughs come in through XML."""
        (tmp_path / "secret").write_text("90")
        laughs = "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 11))
        for entities, use in (
            (f'<!ENTITY x SYSTEM "file://{tmp_path}/secret">', "&x;"),
            (f'<!ENTITY a0 "ha">{laughs}', "&a10;"),
        ):
            root = model(shown(f'<metadata name="a">{use}</metadata>' + mesh()))
            root = root.replace("<model", f"<!DOCTYPE model [{entities}]><model", 1)
            refused(write(tmp_path / "a.3mf", root), "it declares an XML document type")
