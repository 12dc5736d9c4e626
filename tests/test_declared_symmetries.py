"""Symmetries that are declared for meshes whose files cannot say them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cad_models import CadModel, declare_symmetries, model_from_arrays
from checked_settings import SettingError
from render_adapt import RunConfig, generate, load
from renderer import canonical_rotation, rotation_about, symmetry_quaternions, uniform_rotation
from tests.command import run_command


def solid(vertices: NDArray[np.float64], name: str = "part", moved: float = 0.0) -> CadModel:
    """The convex hull of points."""
    trimesh = pytest.importorskip("trimesh")
    hull = trimesh.Trimesh(vertices + moved).convex_hull
    return model_from_arrays(name, 1, hull.vertices, hull.faces, origin="test")


def prism(sides: int, moved: float = 0.0, radius: float = 30.0, half: float = 50.0) -> CadModel:
    """Upright along z, on a regular polygon with a corner on x."""
    angle = 2 * np.pi * np.arange(sides) / sides
    ring = np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle], axis=1)
    height = np.array([0, 0, half])
    return solid(np.concatenate([ring - height, ring + height]), moved=moved)


def box() -> CadModel:
    corners = np.array(np.meshgrid([-20, 20], [-30, 30], [-50, 50])).reshape(3, 8).T
    return solid(corners.astype(float))


def declared(model: CadModel, *entries: str) -> CadModel:
    return declare_symmetries([model], entries)[0]


@pytest.mark.parametrize("moved", [0.0, 170.0])
@pytest.mark.parametrize(("sides", "count"), [(3, 3), (4, 4), (6, 6), (6, 2), (6, 3)])
def test_turns_about_the_axis_lead_the_solid_to_itself(
    sides: int, count: int, moved: float
) -> None:
    """About the line that the solid turns about, wherever that is and whether or not the middle of
    its box lies on it, as a triangle's does not."""
    model = prism(sides, moved)
    symmetries = declared(model, f"part=z{count}").symmetries
    assert symmetries.discrete.shape == (count - 1, 4, 4)
    assert symmetries.continuous == ()
    vertices = model.mesh.vertices.astype(np.float64)
    for transform in symmetries.discrete:
        turned = vertices @ transform[:3, :3].T + transform[:3, 3]
        apart = np.linalg.norm(turned[:, None] - vertices[None], axis=-1).min(axis=1)
        assert apart.max() < 0.01
    np.testing.assert_array_equal(symmetries.discrete[:, 3], np.tile([0, 0, 0, 1], (count - 1, 1)))


def test_any_turn_is_an_axis_through_the_origin_or_beside_it() -> None:
    [axis] = declared(prism(64), "PART=z").symmetries.continuous
    assert (axis.axis, axis.offset) == ((0, 0, 1), (0, 0, 0))
    [axis] = declared(prism(64, moved=170.0), "part = z").symmetries.continuous
    assert axis.offset == pytest.approx((170, 170, 170), abs=0.01)


def test_objects_of_other_programs_are_known_by_their_names_there() -> None:
    """A name like `Hex nut.001`, of which the model's is made."""
    model = solid(prism(6).mesh.vertices.astype(np.float64), name="Hex nut.001")
    assert model.name == "Hex_nut_001"
    assert len(declared(model, "Hex nut.001=z6").symmetries.discrete) == 5
    assert len(declared(model, "hex_nut_001 = z2").symmetries.discrete) == 1


def test_several_turns_are_all_that_they_lead_to() -> None:
    two = declared(box(), "part=z2", "part=x2").symmetries
    expected = [rotation_about(axis, np.pi) for axis in np.eye(3)]
    assert len(two.discrete) == 3
    for rotation in expected:
        assert np.abs(two.discrete[:, :3, :3] - rotation).max(axis=(1, 2)).min() < 1e-9
    assert len(declared(prism(4), "part=z4", "part=x2").symmetries.discrete) == 7


def test_half_turns_go_with_any_turn_about_another_axis() -> None:
    cylinder = declared(prism(64), "part=z", "part=x2", "part=z4").symmetries
    assert len(cylinder.continuous) == 1
    assert len(cylinder.discrete) == 1
    upside_down = rotation_about([0, 1, 0], np.pi)
    poses = uniform_rotation(np.random.default_rng(1).random((20, 3)))
    np.testing.assert_allclose(
        canonical_rotation(poses @ upside_down, cylinder), canonical_rotation(poses, cylinder),
        atol=1e-9,
    )  # fmt: skip


def test_what_is_declared_takes_the_place_of_what_a_file_says() -> None:
    there = declared(prism(64), "part=z")
    replaced = declared(there, "part=z4").symmetries
    assert replaced.continuous == ()
    assert len(replaced.discrete) == 3
    assert declare_symmetries([there], []) == [there]


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        (["part"], "`symmetry` part: write NAME=AXIS"),
        (["part=w"], "write NAME=AXIS"),
        (["part=z1"], "2 to 60, as in box=z2"),
        (["part=z61"], "2 to 60"),
        (["part=z02"], "write NAME=AXIS"),
        (["cup=z"], "cup is none of the objects, which are part"),
        (["part=z4"], r"such a turn moves its outline by \d+ mm, of 123 mm"),
        (["part=x"], "moves its outline"),
    ],
)
def test_what_is_no_symmetry_is_refused(entries: list[str], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        declared(box(), *entries)


def test_turns_that_do_not_go_together_are_refused() -> None:
    cube = solid(np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T * 40.0)
    assert len(declared(cube, "part=z4", "part=x4").symmetries.discrete) == 23
    ball = solid(50.0 * uniform_rotation(np.random.default_rng(0).random((400, 3)))[:, :, 0])
    with pytest.raises(SettingError, match="part=x4 does not go with part=z: beside any turn"):
        declared(ball, "part=z", "part=x4")
    with pytest.raises(SettingError, match="lead to ever new ones"):
        declared(ball, "part=z5", "part=x4")
    assert len(declared(ball, "part=z", "part=x").symmetries.continuous) == 2


@pytest.fixture
def nut(tmp_path: Path) -> Path:
    trimesh = pytest.importorskip("trimesh")
    model = prism(6)
    file = tmp_path / "nut.stl"
    trimesh.Trimesh(model.mesh.vertices, model.mesh.faces).export(file)
    return file


def flags_of(nut: Path) -> tuple[object, ...]:
    return "--objects", f"nut={nut}", "--n", 1, "--adapter", "none", "--workers", 1


def run_of(folder: Path, *flags: object) -> None:
    saved = () if "--config" in flags else ("--save-config", folder / "run.toml")
    with pytest.raises(SystemExit) as end:
        run_command(*flags, *saved)
    assert not end.value.code


@pytest.mark.several_seconds
def test_a_run_writes_declared_symmetries_and_canonical_poses(nut: Path, tmp_path: Path) -> None:
    config = RunConfig(
        (f"nut={nut}", "bowl"), n=12, out=tmp_path / "d", adapter="none", workers=1,
        symmetry=("nut=z6,nut=x2",),
    )  # fmt: skip
    generate(config)
    facts = json.loads((tmp_path / "d/models/models_info.json").read_text())
    (number,) = {id_ for id_ in facts if int(id_) > 100}
    assert len(facts[number]["symmetries_discrete"]) == 11
    model = declare_symmetries([prism(6)], ["part=z6", "part=x2"])[0]
    for crop in load(tmp_path / "d"):
        if crop.object_id[0] == int(number):
            canonical = canonical_rotation(crop.rotation[0], model.symmetries)
            np.testing.assert_allclose(crop.rotation[0], canonical, atol=1e-6)
    run_of(tmp_path, "--out", tmp_path / "f", "--symmetry", "nut=z6,nut=x2", *flags_of(nut))
    text = (tmp_path / "run.toml").read_text()
    assert 'symmetry = ["nut=z6,nut=x2"]' in text
    (tmp_path / "run.toml").write_text(text.replace("nut=z6,nut=x2", "nut=z6"))
    run_of(tmp_path, "--out", tmp_path / "g", "--config", tmp_path / "run.toml")
    written = [
        json.loads((tmp_path / name / "models/models_info.json").read_text()) for name in "fg"
    ]
    assert [len(one[number]["symmetries_discrete"]) for one in written] == [11, 5]
    assert (symmetry_quaternions([model])[0, :, 0] > 0.999).sum() == 1
    with pytest.raises(SettingError, match="cup is none of the objects"):
        generate(RunConfig((f"nut={nut}",), n=1, out=tmp_path / "e", symmetry=("cup=z",)))
    assert not (tmp_path / "e").exists()
