"""`render-adapt adapters` and `presets`: what has a name is listed, and works under it."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

import adapter
import renderer
from adapter import ADAPTERS, SHIPPED_ADAPTER, AdapterError, adapter_folder, read_info
from render_adapt import PRESETS
from tests.command import run_command
from tests.own_packages import MAIN, ROOT, attempt, register, run

MAKE = ("--objects", "ape", "--n", "2", "--workers", "1", "--out", "d", "--adapter", "mine")


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment with packages that bring three adapters, two of them unusable."""
    site = tmp_path / "site"
    register(
        site,
        "others",
        {
            "adapter.adapters": {
                "mine": "others:MINE",
                "gone": "others:GONE",
                "other-name": "others:MINE",
            }
        },
    )
    shutil.copytree(SHIPPED_ADAPTER, site / "mine")
    described = json.loads((site / "mine/adapter.json").read_text())
    described |= {"provenance": "my camera's crops \u001b[31m, CC0", "class_names": ["bowl"]}
    (site / "mine/adapter.json").write_text(json.dumps(described))
    (site / "mine/MODEL_CARD.md").write_text("# Mine\n\nIt knows \u001b[2Jbowls.\n")
    (site / "others.py").write_text(
        "from pathlib import Path\n"
        "MINE, GONE = Path(__file__).parent / 'mine', Path(__file__).parent / 'gone'\n"
    )
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}


def test_shipped_adapters_have_names_and_say_what_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert adapter_folder("shipped") == SHIPPED_ADAPTER == ADAPTERS[SHIPPED_ADAPTER.name]
    with pytest.raises(SystemExit) as end:
        run_command("adapters", "list")
    assert not end.value.code
    blocks = re.split(r"^(?=\S)", capsys.readouterr().out, flags=re.M)[1:]
    assert [block.split()[0] for block in blocks] == list(ADAPTERS)
    for block, folder in zip(blocks, ADAPTERS.values(), strict=True):
        info = read_info(folder)
        assert info.provenance
        assert info.figures
        assert f"data and licence: {info.provenance}\n" in block
        assert f"objects: {', '.join(info.class_names)}\n" in block
        assert ("(default)" in block) == (folder == SHIPPED_ADAPTER)


@pytest.mark.parametrize("name", ["shipped", SHIPPED_ADAPTER.name, SHIPPED_ADAPTER])
def test_an_adapter_is_shown_with_its_card(
    name: object, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run_command("adapters", "show", name)
    assert not end.value.code
    shown = capsys.readouterr().out.splitlines()
    info = read_info(SHIPPED_ADAPTER)
    assert shown[0] == f"folder: {SHIPPED_ADAPTER}"
    assert f"data: {info.provenance}" in shown
    accuracy = info.figures["adapted"]["accuracy_percent"]
    assert f"adapted accuracy percent: {accuracy}" in shown
    assert f"estimator: {info.figures['estimator']}" in shown
    assert f"SHA-256 of generator.onnx: {info.sha256['generator.onnx']}" in shown
    card = (SHIPPED_ADAPTER / "MODEL_CARD.md").read_text().splitlines()
    assert shown[-len(card) :] == card


def test_another_packages_adapter_works_under_its_name(
    installed: dict[str, str], tmp_path: Path
) -> None:
    listed = run(MAIN, installed, tmp_path, "adapters", "list")
    assert "\nmine\n  takes: RGB-D, 64 x 64 px\n  objects: bowl\n" in listed
    assert "data and licence: my camera's crops \\x1b[31m, CC0\n" in listed
    assert re.search(r"\ngone\n  cannot be used: .*gone is not an adapter", listed)
    assert re.search(r"\nother-name\n  cannot be used: .*is no pathlib.Path of that name", listed)
    shown = run(MAIN, installed, tmp_path, "adapters", "show", "mine")
    assert shown.endswith("\n# Mine\n\nIt knows \\x1b[2Jbowls.\n")
    run(MAIN, installed, tmp_path, *MAKE)
    manifest = json.loads((tmp_path / "d/manifest.json").read_text())
    assert manifest["settings"]["adapter"] == "mine"
    run(MAIN, installed, tmp_path, *MAKE)
    picture = tmp_path / "d/train/000000/rgb/000001.png"
    before = picture.read_bytes()
    picture.unlink()
    run(MAIN, installed, tmp_path, "verify", "d", "--repair")
    assert picture.read_bytes() == before
    unknown = attempt(MAIN, installed, tmp_path, "adapters", "show", "mien")
    assert unknown.returncode == 1
    assert "mien is not an adapter" in unknown.stderr


def test_a_folder_goes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = SHIPPED_ADAPTER.name
    Path(name).mkdir()
    assert adapter_folder(name) == SHIPPED_ADAPTER
    shutil.copytree(SHIPPED_ADAPTER, name, dirs_exist_ok=True)
    assert adapter_folder(name) == Path(name)
    assert adapter_folder("no/such") == Path("no/such")
    with pytest.raises(AdapterError, match="no/such is not an adapter"):
        adapter.load_adapter("no/such")


def test_every_preset_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run_command("presets", "list")
    assert not end.value.code
    names: dict[str, list[str]] = {}
    option = ""
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("  "):
            names[option].append(line.split()[0])
        else:
            option = line
            names[option] = []
    for option, presets in {
        "render-adapt --preset": PRESETS,
        "render-adapt --randomize": renderer.RANDOMIZATIONS,
        "render-adapt train --preset": adapter.PRESETS,
    }.items():
        assert sorted(names.pop(option)) == sorted(presets)
    assert names == {"render-adapt reproduce --preset": ["smoke", "cpu", "full"]}
