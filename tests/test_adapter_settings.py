"""What an adapter brings for its renders: `randomize.toml` in its folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapter import SHIPPED_ADAPTER, AdapterError
from render_adapt import DatasetError, RunConfig, generate, load, repair, verify
from tests.test_dataset import tree_hash

OWN = 'background = ["procedural"]\nlight_tint = 0.2\n'


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    shutil.copytree(SHIPPED_ADAPTER, tmp_path / "mine")
    (tmp_path / "mine/randomize.toml").write_text(OWN)
    return tmp_path / "mine"


def config(adapter: Path, out: str = "dataset", **changes: Any) -> RunConfig:
    return RunConfig(
        ("ape", "duck"), n=3, adapter=str(adapter), out=adapter.parent / out, workers=1, **changes
    )


def drawn(run: RunConfig) -> dict[str, Any]:
    assert isinstance(run.out, Path)
    generate(run)
    described: dict[str, Any] = json.loads((run.out / "manifest.json").read_text())
    return described["randomization"]


def test_an_adapters_own_settings_are_taken_where_none_are_given(adapter: Path) -> None:
    found = drawn(config(adapter))
    assert found["background"] == ["procedural"]
    assert found["light_tint"] == 0.2


@pytest.mark.parametrize("given", ["none", "strong"])
def test_settings_that_are_given_go_before_an_adapters_own(adapter: Path, given: str) -> None:
    of_run = drawn(config(adapter, "with", randomize=given))
    (adapter / "randomize.toml").unlink()
    assert of_run == drawn(config(adapter, "without", randomize=given))


def test_frames_take_an_adapters_own_settings_too(adapter: Path) -> None:
    found = drawn(config(adapter, frames="64x64", objects_per_frame=2))
    assert found["background"] == ["procedural"]


def test_other_settings_of_an_adapter_are_another_run(adapter: Path) -> None:
    generate(config(adapter))
    (adapter / "randomize.toml").write_text(OWN.replace("0.2", "0.3"))
    with pytest.raises(DatasetError, match=r"another run \(randomization.light_tint 0.2 there"):
        generate(config(adapter))


def test_a_dataset_is_repaired_by_an_adapters_own_settings(adapter: Path) -> None:
    run = config(adapter)
    assert isinstance(run.out, Path)
    generate(run)
    before = tree_hash(run.out)
    next(run.out.glob("train/*/rgb/*.png")).unlink()
    repair(verify(run.out, workers=1), adapter=str(adapter))
    assert tree_hash(run.out) == before
    assert len(list(load(run.out))) == 3


def lead_out_itself(adapter: Path, mine: Path) -> None:
    (mine / "mine.toml").write_text(OWN)
    (adapter / "randomize.toml").unlink()
    (adapter / "randomize.toml").symlink_to(mine / "mine.toml")


def name_a_folder_outside(adapter: Path, mine: Path) -> None:
    (adapter / "randomize.toml").write_text(
        f'background = ["photographs"]\nphotographs = "../{mine.name}"\n'
    )


@pytest.mark.parametrize("damage", [lead_out_itself, name_a_folder_outside])
def test_an_adapters_settings_lead_nowhere_else(adapter: Path, damage: Any) -> None:
    mine = adapter.parent / "private"
    mine.mkdir()
    damage(adapter, mine)
    with pytest.raises(AdapterError, match="leads out of the adapter's folder: remove it"):
        generate(config(adapter))
    assert not (adapter.parent / "dataset").exists()


def test_settings_that_cannot_be_used_are_named(adapter: Path) -> None:
    (adapter / "randomize.toml").write_text("light_tint = 3\n")
    with pytest.raises(ValueError, match=r"mine/randomize.toml: light_tint is 3"):
        generate(replace(config(adapter)))
