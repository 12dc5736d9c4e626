"""Which objects there are, what they are called, and in what unit they are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from scipy.spatial import ConvexHull

from cad_models import (
    CadModel,
    Mesh,
    ModelError,
    Symmetries,
    available_models,
    is_closed,
    largest_distance,
    load_models,
)
from checked_settings import RenderAdaptError
from tests.shapes import rectangle

LINEMOD_IDS = {
    name: number
    for number, name in enumerate(
        (
            "ape", "benchvise", "bowl", "cam", "can", "cat", "cup", "driller", "duck", "eggbox",
            "glue", "holepuncher", "iron", "lamp", "phone",
        ),
        start=1,
    )
}  # fmt: skip
LINEMOD_DIAMETERS = dict(
    enumerate(
        (
            102.099, 247.506, 167.355, 172.492, 201.404, 154.546, 124.264, 261.472, 108.999,
            164.628, 175.889, 145.543, 278.078, 282.601, 212.358,
        ),
        start=1,
    )
)  # fmt: skip
"""Millimetres, as in the `models_info.json` of BOP's LM."""
WITHOUT_BOWL = [name for name in LINEMOD_IDS if name != "bowl"]


def box_file(path: Path, longest: float = 120.0) -> Path:
    """A box whose longest edge is `longest` and whose diameter is 1.25 of that."""
    trimesh.creation.box((longest, longest * 0.72, longest * 0.21)).export(path)
    return path


@pytest.fixture
def bop_folder(tmp_path: Path) -> Path:
    """Two unnamed objects, 5 and 7, the first as large as LINEMOD's can."""
    folder = tmp_path / "models"
    folder.mkdir()
    facts = {}
    for object_id, diameter in ((5, LINEMOD_DIAMETERS[5]), (7, 90.0)):
        sphere = trimesh.creation.icosphere(subdivisions=3, radius=diameter / 2)
        sphere.export(folder / f"obj_{object_id:06d}.ply")
        facts[str(object_id)] = {"diameter": diameter}
    (folder / "models_info.json").write_text(json.dumps(facts))
    return folder


def change_facts(folder: Path, object_id: int, **facts: Any) -> None:
    path = folder / "models_info.json"
    everything = json.loads(path.read_text())
    everything[str(object_id)].update(facts)
    path.write_text(json.dumps(everything))


def message(*objects: str, **options: Any) -> str:
    with pytest.raises(RenderAdaptError) as caught:
        load_models(objects, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def one(*objects: str, **options: Any) -> CadModel:
    [model] = load_models(objects, **options)
    return model


class TestLinemod:
    def test_all_objects_load_with_the_diameters_of_models_info(self, data_dir: Path) -> None:
        folder = data_dir / "linemod" / "models"
        facts = json.loads((folder / "models_info.json").read_text())
        for name in WITHOUT_BOWL:
            model = one(name, models=folder)
            assert (model.name, model.object_id) == (name, LINEMOD_IDS[name])
            assert model.diameter == facts[str(model.object_id)]["diameter"]
            lengths = np.linalg.norm(model.mesh.normals, axis=1)
            np.testing.assert_allclose(lengths, 1, atol=1e-5)
            assert len(np.unique(model.mesh.colors, axis=0)) > 100
            low = [facts[str(model.object_id)][f"min_{axis}"] for axis in "xyz"]
            # The lamp's file has vertices that belong to no face and reach further.
            np.testing.assert_allclose(model.bounds[0], low, atol=0.3 if name == "lamp" else 1e-3)

    def test_arrays_are_those_that_trimesh_reads(self, data_dir: Path) -> None:
        folder = data_dir / "linemod" / "models"
        mesh = one("cat", models=folder).mesh
        expected = trimesh.load_mesh(folder / "obj_000006.ply", process=False)
        np.testing.assert_array_equal(mesh.vertices, expected.vertices.astype(np.float32))
        np.testing.assert_array_equal(mesh.faces, expected.faces)
        np.testing.assert_array_equal(mesh.colors, expected.visual.vertex_colors[:, :3])

    def test_summaries_name_what_can_be_loaded(self, data_dir: Path) -> None:
        summaries = available_models(data_dir / "linemod" / "models")
        assert [summary.name for summary in summaries] == WITHOUT_BOWL
        assert {s.name for s in summaries if s.symmetric} == {"eggbox", "glue"}
        assert summaries[0].faces == 11678
        assert summaries[0].diameter == 102.099

    def test_the_bowl_is_listed_but_has_no_mesh(self, data_dir: Path) -> None:
        folder = data_dir / "linemod" / "models"
        assert f"{folder} has no obj_000003.ply" in message("bowl", models=folder)


class TestNames:
    @pytest.mark.parametrize("name", ["can", "CAN", "5", "obj_000005", "obj_5", "watering can"])
    def test_spellings_of_one_object(self, bop_folder: Path, name: str) -> None:
        model = one(name, models=bop_folder)
        assert (model.name, model.object_id) == ("can", 5)

    @pytest.mark.parametrize(
        ("alias", "name"),
        [
            ("benchviseblue", "benchvise"),
            ("Bench Vise", "benchvise"),
            ("camera", "cam"),
            ("hole_puncher", "holepuncher"),
            ("hole-punch", "holepuncher"),
            ("egg box", "eggbox"),
            ("drill", "driller"),
        ],
    )
    def test_aliases_of_linemod(self, bop_folder: Path, alias: str, name: str) -> None:
        (bop_folder / "obj_000007.ply").rename(bop_folder / "obj_000001.ply")
        change_facts(bop_folder, 7, diameter=1.0)
        facts = {"1": {"name": name, "diameter": 90.0}}
        (bop_folder / "models_info.json").write_text(json.dumps(facts))
        assert one(alias, models=bop_folder).name == name

    def test_a_linemod_name_is_refused_where_the_object_is_another(self, bop_folder: Path) -> None:
        text = message("cup", models=bop_folder)
        assert "obj_000007.ply is 90.0 mm across and LINEMOD's cup 124.3 mm" in text
        assert "call it obj_000007" in text
        assert one("obj_000007", models=bop_folder).name == "obj_000007"

    def test_a_name_in_models_info_counts_before_linemods(self, bop_folder: Path) -> None:
        change_facts(bop_folder, 5, name="003 cracker/box")
        assert one("003_cracker_box", models=bop_folder).name == "003_cracker_box"
        assert one("5", models=bop_folder).name == "003_cracker_box"
        assert "not among" in message("can", models=bop_folder)

    def test_without_models_info_the_mesh_decides(self, bop_folder: Path) -> None:
        (bop_folder / "models_info.json").unlink()
        can = one("can", models=bop_folder)
        assert can.diameter == pytest.approx(LINEMOD_DIAMETERS[5], rel=1e-3)
        assert [summary.name for summary in available_models(bop_folder)] == ["can", "obj_000007"]
        assert "LINEMOD's cup" in message("cup", models=bop_folder)

    def test_an_unknown_name_gets_the_nearest_and_the_list(self, bop_folder: Path) -> None:
        text = message("cann", models=bop_folder)
        assert "`objects` cann" in text
        assert "did you mean can?" in text
        assert text.endswith("which are can, obj_000007")
        assert "did you mean" not in message("zzzz", models=bop_folder)

    def test_ids_of_files_follow_their_order_and_never_collide(
        self, bop_folder: Path, tmp_path: Path
    ) -> None:
        part = box_file(tmp_path / "part.stl")
        objects = [f"b={part}", "can", f"a={part}"]
        models = load_models(objects, models=bop_folder)
        assert [(m.name, m.object_id) for m in models] == [("b", 101), ("can", 5), ("a", 102)]
        (bop_folder / "obj_000007.ply").rename(bop_folder / "obj_000102.ply")
        models = load_models(["102", f"a={part}"], models=bop_folder)
        assert [model.object_id for model in models] == [102, 103]

    @pytest.mark.parametrize("objects", [("can", "5"), ("can", "Can={part}"), ("5", "obj_000005")])
    def test_an_object_cannot_be_named_twice(
        self, bop_folder: Path, tmp_path: Path, objects: tuple[str, ...]
    ) -> None:
        part = box_file(tmp_path / "part.stl")
        text = message(*(entry.format(part=part) for entry in objects), models=bop_folder)
        assert "twice" in text

    @pytest.mark.parametrize(
        ("entry", "problem"),
        [
            ("", "empty name"),
            (" ", "empty name"),
            ("=part.stl", "NAME=FILE"),
            ("widget=", "NAME=FILE"),
            ("part.stl", "widget=part.stl"),
            ("parts/part.stl", "NAME=FILE"),
            ("a/b=part.stl", "cannot be an object's name"),
            ("..=part.stl", "cannot be an object's name"),
            ("a b=part.stl", "cannot be an object's name"),
            ("é=part.stl", "cannot be an object's name"),
            (f"{'a' * 65}=part.stl", "cannot be an object's name"),
        ],
    )
    def test_entries_that_are_not_names(self, entry: str, problem: str) -> None:
        text = message(entry)
        assert "`objects`" in text
        assert problem in text

    def test_no_objects_at_all(self) -> None:
        assert "`objects` is empty" in message()


class TestFolders:
    def test_missing_empty_and_wrong_level(self, tmp_path: Path, bop_folder: Path) -> None:
        assert "does not exist" in message("can", models=tmp_path / "nowhere")
        assert "is not a folder" in message("can", models=bop_folder / "obj_000005.ply")
        assert f"did you mean {bop_folder}?" in message("can", models=tmp_path)
        empty = tmp_path / "empty"
        empty.mkdir()
        assert f"`models` {empty} holds no obj_*.ply" in message("can", models=empty)
        (empty / "obj_000001.glb").write_bytes(b"glTF")
        text = message("can", models=empty)
        assert f"`objects` widget={empty / 'obj_000001.glb'}" in text

    @pytest.mark.parametrize("digits", [1, 2, 6, 8])
    def test_names_of_sixd_and_others(self, bop_folder: Path, digits: int) -> None:
        """Ids are the numbers in the names, however many digits these have."""
        before = load_models(["5", "7"], models=bop_folder)
        for object_id in (5, 7):
            file = bop_folder / f"obj_{object_id:06d}.ply"
            file.rename(bop_folder / f"obj_{object_id:0{digits}d}.ply")
        (bop_folder / "models_info.json").unlink()
        (bop_folder / "models_info.yml").write_text("5: {diameter: 201.404}\n7: {diameter: 90}\n")
        after = load_models(["obj_05", "7"], models=bop_folder)
        for old, new in zip(before, after, strict=True):
            assert (new.name, new.object_id) == (old.name, old.object_id)
            assert new.diameter == pytest.approx(old.diameter, rel=1e-3)
            np.testing.assert_array_equal(new.mesh.vertices, old.mesh.vertices)
        assert [m.object_id for m in available_models(bop_folder)] == [5, 7]
        assert one("can", models=bop_folder).object_id == 5

    def test_of_two_files_of_one_id_bops_counts(self, bop_folder: Path) -> None:
        box_file(bop_folder / "obj_5.ply")
        assert one("5", models=bop_folder).origin == "obj_000005.ply"
        assert [m.origin for m in available_models(bop_folder)] == [
            "obj_000005.ply", "obj_000007.ply",
        ]  # fmt: skip

    def test_files_that_macos_writes_beside_meshes_are_passed_over(self, bop_folder: Path) -> None:
        names = [model.name for model in available_models(bop_folder)]
        for file in list(bop_folder.iterdir()):
            (bop_folder / f"._{file.name}").write_bytes(b"\0\5\x16\7" + bytes(100))
        assert [model.name for model in available_models(bop_folder)] == names
        assert [model.name for model in load_models(names, models=bop_folder)] == names

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("{", "is not JSON"),
            ("\xff", "is not JSON"),
            ("[]", "one entry for each object id"),
            ('{"can": {}}', "'can' is not an object id"),
            ('{"5": 3}', "entry of object 5"),
            ('{"5": {"diameter": "100"}}', "diameter of object 5"),
            ('{"5": {"diameter": true}}', "diameter of object 5"),
            ('{"5": {"diameter": NaN}}', "diameter of object 5"),
            ('{"5": {"diameter": -1}}', "not above 0"),
            ('{"5": {"name": 5}}', "name of object 5"),
            ('{"5": {"name": "a"}, "7": {"name": "A"}}', "objects 5 and 7 have the same name"),
            ('{"5": {"symmetries_discrete": {}}}', "symmetries_discrete of object 5"),
            ('{"5": {"symmetries_discrete": [[1, 2]]}}', "16 finite numbers"),
            (f'{{"5": {{"symmetries_discrete": [{[2, *[0] * 15]}]}}}}', "not a rotation"),
            ('{"5": {"symmetries_continuous": [[0, 0, 1]]}}', "continuous symmetry of object 5"),
            ('{"5": {"symmetries_continuous": [{"axis": [0, 0, 0]}]}}', "no length"),
            ('{"5": {"symmetries_continuous": [{"offset": [0, 0, 0]}]}}', "axis"),
        ],
    )
    def test_malformed_models_info(self, bop_folder: Path, text: str, problem: str) -> None:
        path = bop_folder / "models_info.json"
        path.write_text(text, encoding="latin-1")
        report = message("can", models=bop_folder)
        assert str(path) in report
        assert problem in report

    def test_a_reflection_is_no_symmetry(self, bop_folder: Path) -> None:
        mirror = np.diag([-1.0, 1, 1, 1]).ravel().tolist()
        change_facts(bop_folder, 5, symmetries_discrete=[mirror])
        assert "not a rotation" in message("can", models=bop_folder)

    def test_symmetries_are_read(self, bop_folder: Path) -> None:
        half_turn = np.diag([-1.0, -1, 1, 1])
        half_turn[0, 3] = 4
        change_facts(
            bop_folder,
            5,
            symmetries_discrete=[half_turn.ravel().tolist(), np.eye(4).ravel().tolist()],
            symmetries_continuous=[{"axis": [0, 0, 2], "offset": [1, 2, 3]}],
        )
        symmetries = one("can", models=bop_folder).symmetries
        np.testing.assert_array_equal(symmetries.discrete, [half_turn])
        [axis] = symmetries.continuous
        assert (axis.axis, axis.offset) == ((0, 0, 1), (1, 2, 3))

    def test_a_diameter_that_is_not_the_meshs(self, bop_folder: Path) -> None:
        change_facts(bop_folder, 7, diameter=86.0)
        assert one("7", models=bop_folder).diameter == 86.0
        change_facts(bop_folder, 7, diameter=85.0)
        text = message("7", models=bop_folder)
        assert "models_info.json says 85" in text
        assert "obj_000007.ply is 90" in text


class TestUnits:
    @pytest.mark.parametrize(
        ("longest", "likely"), [(0.118, "m"), (0.004, "m"), (3.9, "in"), (1.8, "in"), (0.02, "m")]
    )
    def test_a_mesh_too_small_for_millimetres(
        self, tmp_path: Path, longest: float, likely: str
    ) -> None:
        part = box_file(tmp_path / "widget.stl", longest)
        text = message(f"widget={part}")
        words = {"m": "metres", "in": "inches"}
        assert f"{part} is {longest * 1.25:.3g} mm across if read as millimetres" in text
        assert f"probably in {words[likely]}" in text
        assert f"pass `units` {likely}" in text

    def test_a_mesh_too_large_for_millimetres(self, tmp_path: Path) -> None:
        part = box_file(tmp_path / "part.stl", 1700)
        assert "is 2125 mm across" in message(f"part={part}")
        assert one(f"part={part}", units="mm").diameter == pytest.approx(2125, rel=1e-4)

    @pytest.mark.parametrize(("longest", "plausible"), [(3.9, False), (4.1, True), (1599, True)])
    def test_the_limits_are_5_millimetres_and_2_metres(
        self, tmp_path: Path, longest: float, plausible: bool
    ) -> None:
        part = box_file(tmp_path / "part.stl", longest)
        if plausible:
            assert one(f"part={part}").diameter == pytest.approx(longest * 1.25, rel=1e-2)
        else:
            message(f"part={part}")

    @pytest.mark.parametrize(
        ("units", "factor"), [("m", 1000), ("cm", 10), ("mm", 1), ("in", 25.4)]
    )
    def test_a_stated_unit_scales_the_mesh(self, tmp_path: Path, units: str, factor: float) -> None:
        part = box_file(tmp_path / "part.stl", 1.2)
        model = one(f"part={part}", units=units)
        np.testing.assert_allclose(
            np.ptp(model.bounds, axis=0), np.array([1.2, 0.864, 0.252]) * factor, rtol=1e-5
        )
        assert model.diameter == pytest.approx(
            factor * np.linalg.norm([1.2, 0.864, 0.252]), rel=1e-5
        )

    def test_absurd_sizes_and_unknown_units(self, tmp_path: Path) -> None:
        part = box_file(tmp_path / "part.stl", 200)
        assert re.search(
            r"is 250\d\d\d mm across with `units` m;", message(f"part={part}", units="m")
        )
        assert "`units` is km: it must be m, cm, mm or in" in message(f"part={part}", units="km")

    def test_gltf_is_in_metres_unless_told_otherwise(self, tmp_path: Path) -> None:
        metres = box_file(tmp_path / "metres.glb", 0.12)
        assert one(f"part={metres}").diameter == pytest.approx(150, rel=0.02)
        millimetres = box_file(tmp_path / "millimetres.glb", 120)
        text = message(f"part={millimetres}")
        assert "the unit its format states" in text
        assert "pass `units` mm" in text
        assert one(f"part={millimetres}", units="mm").diameter == pytest.approx(150, rel=0.02)

    def test_units_of_a_folder_scale_everything_in_it(self, bop_folder: Path) -> None:
        sphere = trimesh.creation.icosphere(subdivisions=3, radius=0.045)
        sphere.export(bop_folder / "obj_000007.ply")
        half_turn = np.diag([-1.0, -1, 1, 1])
        half_turn[0, 3] = 0.004
        change_facts(
            bop_folder,
            7,
            diameter=0.09,
            symmetries_discrete=[half_turn.ravel().tolist()],
            symmetries_continuous=[{"axis": [0, 0, 1], "offset": [0.001, 0, 0]}],
        )
        assert "probably in metres" in message("7", models=bop_folder)
        model = one("7", models=bop_folder, units="m")
        assert model.diameter == pytest.approx(90)
        assert np.ptp(model.bounds[:, 2]) == pytest.approx(90, rel=1e-3)
        assert model.symmetries.discrete[0, 0, 3] == pytest.approx(4)
        assert model.symmetries.continuous[0].offset == pytest.approx((1, 0, 0))

    def test_a_folder_in_metres_is_listed_in_its_unit_alone(self, bop_folder: Path) -> None:
        facts = {"5": {"diameter": 0.201404}, "7": {"diameter": 0.09}}
        for object_id, entry in facts.items():
            sphere = trimesh.creation.icosphere(subdivisions=3, radius=entry["diameter"] / 2)
            sphere.export(bop_folder / f"obj_{int(object_id):06d}.ply")
        for info in (facts, {}):
            (bop_folder / "models_info.json").write_text(json.dumps(info))
            for read in (available_models, lambda folder: load_models(["5"], models=folder)):
                with pytest.raises(ModelError, match="probably in metres or inches: pass"):
                    read(bop_folder)
            can, other = available_models(bop_folder, units="m")
            assert (can.name, other.name) == ("can", "obj_000007")
            assert (can.diameter, other.diameter) == pytest.approx((201.404, 90), rel=2e-3)

    @pytest.mark.parametrize(("mesh", "facts"), [(1000, "diameter"), (0.001, "mesh")])
    def test_a_mesh_and_its_facts_in_different_units(
        self, bop_folder: Path, mesh: float, facts: str
    ) -> None:
        diameter = 90.0 if mesh < 1 else 0.09
        sphere = trimesh.creation.icosphere(subdivisions=3, radius=diameter * mesh / 2)
        sphere.export(bop_folder / "obj_000007.ply")
        change_facts(bop_folder, 7, diameter=diameter)
        text = message("7", models=bop_folder)
        assert f"the {facts} is probably in metres: bring both to one unit" in text

    def test_units_are_of_the_files_where_there_are_any(
        self, bop_folder: Path, tmp_path: Path
    ) -> None:
        part = box_file(tmp_path / "part.stl", 0.12)
        can, widget = load_models(["can", f"widget={part}"], models=bop_folder, units="m")
        assert can.diameter == LINEMOD_DIAMETERS[5]
        assert widget.diameter == pytest.approx(150, rel=0.02)


def test_the_hull_reaches_as_far_as_the_model_every_way() -> None:
    directions = np.random.default_rng(0).normal(size=(3, 200))
    for model in load_models(["ape", "benchvise"]):
        assert len(model.hull) < len(model.mesh.vertices) / 2
        reach = (model.hull @ directions).max(axis=0)
        np.testing.assert_allclose((model.mesh.vertices @ directions).max(axis=0), reach)


def test_the_hull_has_all_corners_and_few_other_vertices() -> None:
    """scipy's hull judges."""
    for model in load_models([summary.name for summary in available_models()]):
        vertices = model.mesh.vertices.astype(np.float64)
        corners = {tuple(corner) for corner in vertices[ConvexHull(vertices).vertices]}
        assert corners <= {tuple(vertex) for vertex in model.hull}, model.name
        assert len(model.hull) < 1.7 * len(corners), model.name


@pytest.mark.parametrize("shape", ["cloud", "ball", "lattice", "needle", "flat", "twice", "few"])
def test_nothing_is_left_out_that_is_farthest_some_way(shape: str) -> None:
    random = np.random.default_rng(1)
    cloud = random.normal(size=(2000, 3))
    vertices = {
        "cloud": cloud * 50,
        "ball": cloud / np.linalg.norm(cloud, axis=1, keepdims=True) * 80,
        "lattice": np.argwhere(np.ones((12, 12, 12))) * 7.0,
        "needle": cloud * [500, 1, 1],
        "flat": cloud * [40, 40, 0],
        "twice": np.concatenate([cloud, cloud]) * 20,
        "few": cloud[:5],
    }[shape].astype(np.float32)
    mesh = Mesh(
        vertices, np.array([[0, 1, 2]], np.int32), np.zeros_like(vertices),
        np.zeros(vertices.shape, np.uint8),
    )  # fmt: skip
    model = CadModel("points", 1, mesh, 1.0, Symmetries(), "", "0" * 64)
    directions = random.normal(size=(3, 5000))
    farthest = (vertices.astype(np.float64) @ directions).max(axis=0)
    np.testing.assert_allclose((model.hull @ directions).max(axis=0), farthest, rtol=1e-12)


def test_a_flat_model_has_a_hull() -> None:
    model = rectangle(-10, -20, 30, 40)
    np.testing.assert_allclose(model.hull.max(axis=0), model.bounds[1])
    np.testing.assert_allclose(model.hull.min(axis=0), model.bounds[0])


def test_importing_the_public_names_is_cheap() -> None:
    heavy = "{'trimesh', 'scipy', 'torch', 'numba'}"
    code = f"import sys, cad_models; assert not {heavy} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


class TestBuiltIn:
    def test_there_are_linemods_fifteen_in_their_sizes(self) -> None:
        summaries = available_models()
        assert {summary.name: summary.object_id for summary in summaries} == LINEMOD_IDS
        for summary in summaries:
            assert summary.diameter == pytest.approx(LINEMOD_DIAMETERS[summary.object_id], rel=0.01)
            assert summary.origin == "built-in"

    @pytest.mark.parametrize("name", LINEMOD_IDS)
    def test_each_is_a_sound_coloured_mesh(self, name: str) -> None:
        model = one(name)
        assert (model.name, model.object_id) == (name, LINEMOD_IDS[name])
        # models_info.json is believed for these, so it has to be right.
        assert model.diameter == pytest.approx(largest_distance(model.mesh.vertices), rel=1e-5)
        assert len(np.unique(model.mesh.colors, axis=0)) > 1
        mesh = trimesh.Trimesh(model.mesh.vertices, model.mesh.faces)
        assert mesh.volume > 0
        towards_winding = np.einsum(
            "fd,fd->f", mesh.face_normals, model.mesh.normals[model.mesh.faces].sum(axis=1)
        )
        assert (towards_winding > 0).mean() > 0.99

    def test_an_unknown_name(self) -> None:
        text = message("aep")
        assert text.startswith("`objects` aep: not among the built-in models (did you mean ape?)")
        assert text.endswith("lamp, phone")

    def test_aliases(self) -> None:
        names = [model.name for model in load_models(["BenchViseBlue", "camera", "10"])]
        assert names == ["benchvise", "cam", "eggbox"]


def test_a_surface_is_closed_if_each_edge_has_one_face_on_either_side() -> None:
    tetrahedron = np.array([(0, 1, 2), (0, 2, 3), (0, 3, 1), (1, 3, 2)])
    assert is_closed(tetrahedron)
    assert is_closed(tetrahedron[:, ::-1])
    for number in range(4):
        assert not is_closed(np.delete(tetrahedron, number, axis=0))
        turned = tetrahedron.copy()
        turned[number] = turned[number, ::-1]
        assert not is_closed(turned)
    assert not is_closed(np.concatenate([tetrahedron, tetrahedron]))
    assert is_closed(np.concatenate([tetrahedron, tetrahedron + 4]))
