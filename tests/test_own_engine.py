"""An engine that another package brings, wherever an engine can be named."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.own_packages import MAIN, ROOT, attempt, install, register, run

pytest.importorskip("embreex")


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    return install("plug_ins/an_engine", tmp_path / "site")


def crops(*more: object) -> tuple[object, ...]:
    return ("--objects", "ape,cat", "--n", 3, "--adapter", "none", "--workers", 1, *more)


@pytest.mark.several_seconds
def test_it_makes_a_dataset_whose_labels_are_true(
    installed: dict[str, str], tmp_path: Path
) -> None:
    run(MAIN, installed, tmp_path, *crops("--renderer", "rays", "--out", "d"))
    assert json.loads((tmp_path / "d/manifest.json").read_text())["renderer"] == "rays"
    assert "the labels are true" in " ".join(run(MAIN, installed, tmp_path, "verify", "d").split())
    picture = tmp_path / "d/train/000000/rgb/000001.png"
    before = picture.read_bytes()
    picture.write_bytes(before[:-1])
    run(MAIN, installed, tmp_path, "verify", "d", "--repair")
    assert picture.read_bytes() == before
    run(MAIN, installed, tmp_path, "report", "d")


AGREE = """
from pathlib import Path
import numpy as np
from benchmarks.engine_pictures import crowded_crops
from cad_models import load_models
from renderer import RasterRenderer, make_renderer
from tests.test_engines import ROUNDING, assert_agree, away_from_silhouettes, eroded

models = load_models(["ape", "can", "cat", "phone"])
plans = crowded_crops(models, 8)
batches = {
    name: made.render(plans, surface_maps=True)
    for name, made in (
        ("raster", RasterRenderer(models, levels=False)), ("rays", make_renderer("rays", models))
    )
}
assert_agree(batches, ROUNDING, Path("differences.png"))
ours, theirs = batches.values()
inner = away_from_silhouettes(ours) & away_from_silhouettes(theirs)
assert inner.sum() > 5000
assert np.percentile(np.abs(ours.rgb.astype(int) - theirs.rgb)[inner], 99) <= 1
target = eroded(ours.mask_visib) & eroded(theirs.mask_visib)
for name, most in (("normals", 0.02), ("object_coordinates", 1e-4)):
    assert np.percentile(np.abs(getattr(ours, name) - getattr(theirs, name))[target], 99) <= most
print("agree")
"""


@pytest.mark.several_seconds
def test_it_agrees_with_the_rasteriser(installed: dict[str, str], tmp_path: Path) -> None:
    assert run(AGREE, installed, tmp_path) == "agree\n"


TEXTURED = """
import numpy as np
from renderer import RasterRenderer, make_renderer, plans_from_poses
from tests.shapes import rectangle

picture = np.kron(np.random.default_rng(0).integers(0, 255, (4, 5, 3)), np.ones((50, 50, 1)))
corners = np.float32([(0, 1), (1.5, 1), (1.5, 0), (0, 0)])
model = rectangle(-60, -60, 60, 60, texture=picture.astype(np.uint8), texture_coordinates=corners)
turned = np.diag([-1.0, 1.0, -1.0])
plans = plans_from_poses([model], [0, 0], [np.eye(3), turned], 500.0, canonical=False)
drawn = [
    made.render(plans).rgb.astype(int)
    for made in (RasterRenderer([model], levels=False), make_renderer("rays", [model]))
]
assert drawn[0][1].any()
print(np.median(np.abs(drawn[0] - drawn[1])), (np.abs(drawn[0] - drawn[1]) > 2).mean())
"""


@pytest.mark.several_seconds
def test_a_models_texture_and_the_backs_of_faces_are_drawn_as_by_the_rasteriser(
    installed: dict[str, str], tmp_path: Path
) -> None:
    median, share = map(float, run(TEXTURED, installed, tmp_path).split())
    assert median == 0
    assert share < 0.05


@pytest.mark.several_seconds
def test_it_is_named_wherever_engines_are(installed: dict[str, str], tmp_path: Path) -> None:
    shown = run(MAIN, installed, tmp_path, "--help").replace("│", " ")
    assert "[choices: raster, cuda, pyrender, blender, rays]" in " ".join(shown.split())
    code = (
        "from render_adapt._cli.doctor import examine\n"
        "print(next(one for one in examine() if one.part == 'rays'))\n"
    )
    found = run(code, installed, tmp_path)
    assert "use='drawing by ray casting', works=True" in found
    assert "Embree, on the processor" in found


def test_what_it_does_not_take_is_refused(installed: dict[str, str], tmp_path: Path) -> None:
    making = crops("--renderer", "rays", "--randomize", "strong", "--out", "d")
    done = attempt(MAIN, installed, tmp_path, *making)
    assert done.returncode == 1
    told = " ".join(done.stderr.split())
    assert re.search(
        "texture_swap has [0-9]+ pictures, and rays swaps none in: use --renderer raster or cuda "
        "or pyrender or blender, or leave it out",
        told,
    ), told
    assert not (tmp_path / "d").exists()


BROKEN = {
    "import no_such_module\n": "cannot be loaded (ModuleNotFoundError: No module named",
    "raise RuntimeError('a bad day')\n": "cannot be loaded (RuntimeError: a bad day)",
    "ENGINE = 3\n": "is no renderer.Engine of that name",
    "from renderer import Engine\nENGINE = Engine(name='beams', use='', make=print)\n":
        "is no renderer.Engine of that name",
    "from renderer import Engine\n"
    "ENGINE = Engine(name='rays', use='', make=print, options=frozenset({'speed'}))\n":
        "the engine rays takes speed, which is none of renderer.EngineOptions",
}  # fmt: skip


@pytest.mark.several_seconds
@pytest.mark.parametrize("code", BROKEN)
def test_one_that_is_broken_is_named_where_it_is_used_and_nowhere_else(
    code: str, installed: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "site/ray_engine.py").write_text(code)
    done = attempt(MAIN, installed, tmp_path, *crops("--renderer", "rays", "--out", "d"))
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1
    assert "the engine rays of ray_engine:ENGINE" in lines[0]
    assert BROKEN[code] in lines[0]
    assert not (tmp_path / "d").exists()
    run(MAIN, installed, tmp_path, *crops("--out", "d"))
    examine = "from render_adapt._cli.doctor import examine; print(*examine(), sep='\\n')"
    findings = run(examine, installed, tmp_path).splitlines()
    assert any("'rays'" in line and BROKEN[code] in line for line in findings)
    assert any("'raster'" in line and "works=True" in line for line in findings)


def test_our_names_are_ours(installed: dict[str, str], tmp_path: Path) -> None:
    points = next((tmp_path / "site").glob("*.dist-info/entry_points.txt"))
    points.write_text("[renderer.engines]\nraster = ray_engine:ENGINE\n")
    code = "from renderer import ENGINES; print(list(ENGINES), ENGINES['raster'].use)"
    done = attempt(code, installed, tmp_path)
    assert done.stdout == "['raster', 'cuda', 'pyrender', 'blender'] drawing; the default\n"
    assert "The engine raster of ray_engine:ENGINE is left out" in done.stderr


def test_two_of_one_name_are_refused(installed: dict[str, str], tmp_path: Path) -> None:
    register(tmp_path / "site", "beams", {"renderer.engines": {"rays": "beams:ENGINE"}})
    done = attempt(MAIN, installed, tmp_path, *crops("--renderer", "rays"))
    assert done.returncode == 1
    assert "beams:ENGINE has the name of that of ray_engine:ENGINE" in done.stderr


WRONG = """
from dataclasses import replace
from renderer import Engine, RasterRenderer

class Changed(RasterRenderer):
    def __init__(self, models, change):
        super().__init__(models)
        self._change = change
    def render(self, plans, **options):
        return self._change(super().render(plans, **options))

def engine(name, change):
    return Engine(name=name, use="testing", make=lambda models, options: Changed(models, change))

def lacking(crops):
    import a_driver_that_nobody_has

masks = engine("masks", lambda crops: replace(crops, mask_visib=crops.mask))
depth = engine("depth", lambda crops: replace(crops, depth=1.01 * crops.depth))
colour = engine("colour", lambda crops: replace(crops, rgb=255 - crops.rgb))
lacks = engine("lacks", lacking)
right = engine("right", lambda crops: crops)
"""
CHECK = """
import json, sys
from renderer import check_engine
checks = [check_engine(name) for name in sys.argv[1:]]
print(json.dumps({check.name: [check.works, check.message] for check in checks}))
"""


@pytest.mark.several_seconds
def test_what_draws_something_else_does_not_work(tmp_path: Path) -> None:
    """Each on a crop whose masks, depth and colour are known."""
    names = ("masks", "depth", "colour", "lacks", "right")
    site = tmp_path / "site"
    register(site, "wrong", {"renderer.engines": {name: f"wrong:{name}" for name in names}})
    (site / "wrong.py").write_text(WRONG)
    paths = os.pathsep.join([str(site), str(ROOT)])
    checks = json.loads(run(CHECK, os.environ | {"PYTHONPATH": paths}, tmp_path, *names))
    assert [name for name, (works, _) in checks.items() if works] == ["right"]
    for name, part in (("masks", "masks are"), ("depth", "depth is"), ("colour", "colour is")):
        assert f"it draws, but its {part} wrong on a crop that is known" in checks[name][1]
    assert "a_driver_that_nobody_has" in checks["lacks"][1]
    assert "install render-adapt again" in checks["lacks"][1]
