"""Randomisation: presets, TOML files, and the page that describes them."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from docstring_parser import parse_from_object
from hypothesis import given
from hypothesis import strategies as st

from checked_settings import SettingError
from render_adapt import RunConfig, generate, repair, verify
from renderer import (
    RANDOMIZATIONS,
    PlanConfig,
    Randomization,
    make_plans,
    read_randomization,
)
from tests.shapes import lopsided

PAGE = Path(__file__).resolve().parents[1] / "docs/randomization.md"
LINEMOD = RANDOMIZATIONS["linemod"]


def test_presets_are_known_by_name() -> None:
    for name, preset in RANDOMIZATIONS.items():
        assert read_randomization(name) is preset
    assert RANDOMIZATIONS["linemod"] == Randomization()


def test_without_randomization_nothing_but_pose_and_distance_differs() -> None:
    plans = make_plans(PlanConfig(), [lopsided()], 0, 0, 50, RANDOMIZATIONS["none"])
    for values in (plans.light_direction, plans.light_color, plans.ambient_color):
        assert (values == values[0]).all()
    assert plans.light_direction[0, 0] == pytest.approx([0, 0, -1])
    assert plans.light_color[0, 0] == pytest.approx([0.6] * 3)


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufefflight_tint = 0.5\n")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert read_randomization(path) == dataclasses.replace(LINEMOD, light_tint=0.5)


def test_a_file_says_what_differs_from_a_preset(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    text = """
    preset = "strong"
    lights = [2, 3]
    zoom = [1, 2]
    off_centre = 0
    background = ["photographs", "black"]
    photographs = "pictures"
    depth_sensor = "gaussian"
    """
    expected = dataclasses.replace(
        RANDOMIZATIONS["strong"], lights=(2, 3), zoom=(1.0, 2.0), off_centre=0.0,
        background=("photographs", "black"), photographs=tmp_path / "pictures",
        depth_sensor="gaussian",
    )  # fmt: skip
    assert read_randomization(write(tmp_path, text)) == expected
    assert read_randomization(str(write(tmp_path, "light_tint = 0.5"))) == dataclasses.replace(
        LINEMOD, light_tint=0.5
    )


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("lights = ", r"mine\.toml is not TOML .*: mend that line"),
        ("a = " + "[" * 3000, r"mine\.toml is not TOML"),
        ("light = [1, 2]", r"mine\.toml: there is no setting light: lights, light_angle, .* known"),
        ('preset = "weak"', r"preset is weak: it must be none, linemod or strong"),
        ("preset = []", r"preset is \[\]: it must be none, linemod"),
        (
            "lights = [1.5, 2]",
            r"mine\.toml: lights is \[1\.5, 2\]: it must be two whole numbers from 1",
        ),
        ("lights = [3, 2]", r"lights is \[3, 2\].* the smaller one first"),
        ("lights = 3", r"lights is 3: it must be two whole numbers"),
        ("lights = [true, true]", r"lights is \[True, True\]"),
        ("zoom = [nan, nan]", r"zoom is \[nan, nan\]: it must be two numbers from 0\.1 to 10"),
        ("zoom = [1, 2, 3]", r"zoom is \[1, 2, 3\]"),
        ("zoom = {a = 1}", r"zoom is \{'a': 1\}"),
        ("occlusion = 1.5", r"occlusion is 1\.5: it must be from 0 to 1"),
        ("occlusion = true", r"occlusion is True: it must be a number"),
        ("occlusion = [1]", r"occlusion is \[1\]: it must be a number"),
        (
            'depth_sensor = "lidar"',
            r"depth_sensor is lidar: it must be exact, gaussian or structured-light",
        ),
        ("depth_sensor = [1]", r"depth_sensor is \[1\]: it must be exact, gaussian"),
        ("background = []", r"background is \[\]: it must be a list of black, board"),
        ('background = "black"', r"background is black: it must be a list"),
        ('background = ["blue"]', r"background is \['blue'\]: it must be a list"),
        ("background = [[1]]", r"background is \[\[1\]\]: it must be a list"),
        ('textures = "nowhere"', r"textures is .*nowhere: it must be a folder that exists"),
        ('textures = "a\\u0000b"', r"textures is .*: it must be a folder that exists"),
        ("textures = 3", r"textures is 3: it must be a path"),
        ('background = ["photographs"]', r"no folder of them is named: set photographs"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_sentence(
    tmp_path: Path, text: str, pattern: str
) -> None:
    with pytest.raises(SettingError, match=pattern) as caught:
        read_randomization(write(tmp_path, text))
    assert "\n" not in str(caught.value).replace("\\n", "")


@pytest.mark.parametrize("name", ["weak", "no/such.toml", "x" * 5000, "a\0b", "."])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(
        SettingError, match=r"`randomize` is .*: it must be none, linemod, strong or a TO"
    ):
        read_randomization(name)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"lights = [1, 2] # \xff")
    with pytest.raises(SettingError, match="not TOML"):
        read_randomization(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


def changed(name: str, value: Any) -> Randomization | str:
    """What became of a setting, or the sentence by which it is refused."""
    try:
        return dataclasses.replace(LINEMOD, **{name: value})
    except SettingError as error:
        return str(error)


@given(st.sampled_from([field.name for field in dataclasses.fields(Randomization)]), VALUES)
def test_any_value_is_taken_or_refused_by_its_name(name: str, value: Any) -> None:
    outcome = changed(name, value)
    if isinstance(outcome, str):
        assert outcome.startswith((f"`{name}` is ", "`background` has photographs"))
    else:
        hash(outcome)  # lists have become tuples
        assert changed(name, getattr(outcome, name)) == outcome


def test_a_manifest_names_where_lights_are_from_only_where_it_is_not_the_camera(
    tmp_path: Path,
) -> None:
    """Manifests, and so their hashes, are as before there was a choice; both can be mended."""
    for light_from in ("camera", "above"):
        out = tmp_path / light_from
        write(tmp_path, f'light_from = "{light_from}"')
        mine = str(tmp_path / "mine.toml")
        generate(RunConfig(("ape",), n=2, out=out, adapter="none", workers=1, randomize=mine))
        manifest = json.loads((out / "manifest.json").read_text())
        stated = {} if light_from == "camera" else {"light_from": "above"}
        for settings in (manifest["randomization"], manifest["settings"]["randomize"]):
            assert {k: v for k, v in settings.items() if k == "light_from"} == stated
        picture = out / "train/000000/rgb/000001.png"
        content = picture.read_bytes()
        picture.write_bytes(b"")
        repair(verify(out, workers=1), workers=1)
        assert picture.read_bytes() == content


def test_equal_settings_are_written_alike() -> None:
    """[1, 2] and (1.0, 2.0) are the same setting: a run must go on with either."""
    whole = dataclasses.replace(LINEMOD, zoom=[1, 2], off_centre=0, shininess=(5, 80))
    parts = dataclasses.replace(LINEMOD, zoom=(1.0, 2.0), off_centre=0.0)
    assert json.dumps(dataclasses.asdict(whole)) == json.dumps(dataclasses.asdict(parts))


def shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(shown, value)) if isinstance(value[0], str) else (
            " to ".join(map(shown, value)) if value[0] != value[1] else shown(value[0])
        )  # fmt: skip
    return f"{value:g}" if isinstance(value, int | float) else str(value or "-")


def table() -> str:
    """The settings with what they mean and what each preset has."""
    documents = {
        param.arg_name: " ".join((param.description or "").split())
        for param in parse_from_object(Randomization).params
    }
    lines = ["| setting | what it is | none | linemod | strong |", "|---|---|---|---|---|"]
    for field in dataclasses.fields(Randomization):
        values = (shown(getattr(preset, field.name)) for preset in RANDOMIZATIONS.values())
        lines.append(f"| `{field.name}` | {documents[field.name]} | {' | '.join(values)} |")
    return "\n".join(lines)


def test_the_page_has_every_setting_as_the_code_has_it() -> None:
    assert table() in PAGE.read_text(), f"put this table into {PAGE.name}:\n{table()}"


def test_the_pages_example_is_a_file_that_is_read(tmp_path: Path) -> None:
    text = PAGE.read_text()
    example = text.split("```toml\n")[1].split("```")[0]
    for key, value in tomllib.loads(example).items():
        if key in ("textures", "photographs", "environments"):
            (tmp_path / value).mkdir()
    read = read_randomization(write(tmp_path, example))
    assert read not in RANDOMIZATIONS.values()
