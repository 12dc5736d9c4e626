"""Settings that say what they may be: what is taken, what is refused, and in which words."""

from __future__ import annotations

import ast
import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter import BaselineConfig, TrainConfig
from checked_settings import (
    Above,
    Ascending,
    AtLeast,
    AtMost,
    Below,
    Between,
    Matching,
    MissingDependency,
    NotEmpty,
    OneOf,
    RenderAdaptError,
    SettingError,
    WrongValue,
    check,
    fit,
    fitted_to,
    known_as,
    worded,
)
from render_adapt import AlignConfig, RunConfig, TrainRun
from renderer import FrameConfig, PlanConfig, Randomization

ROOT = Path(__file__).resolve().parents[1]
_Share = Annotated[float, Between(0, 1)]


@dataclass(frozen=True)
class Everything:
    """A field of each kind that settings have."""

    count: Annotated[int, AtLeast(1)] = 1
    share: _Share = 0.5
    rate: Annotated[float, Above(0), AtMost(2)] = 1.0
    weight: Annotated[float, AtLeast(0)] = 0.0
    average: Annotated[float, AtLeast(0), Below(1)] = 0.0
    size: Annotated[int, Between(8, 4096, "pixels")] = 64
    flag: bool = False
    word: Literal["one", "two"] = "one"
    digit: Literal[3, 4] | None = None
    limits: Annotated[tuple[_Share, _Share], Ascending()] = (0.0, 1.0)
    names: tuple[str, ...] = ()
    kinds: Annotated[tuple[Literal["a", "b"], ...], NotEmpty()] = ("a",)
    sides: Annotated[str, Matching(re.compile("[0-9]+x[0-9]+"), "as in 640x480")] | None = None
    place: Path | None = None
    engine: Annotated[str, OneOf(lambda: ("raster", "cuda"))] = "raster"
    by_name: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        fit(self)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("count", 0, "at least 1"),
        ("count", 1.0, "a whole number"),
        ("count", True, "a whole number"),
        ("count", "1", "a whole number, not a text"),
        ("count", None, "a whole number"),
        ("share", 1.01, "from 0 to 1"),
        ("share", math.nan, "from 0 to 1"),
        ("share", "0.5", "a number, not a text"),
        ("share", False, "a number"),
        ("rate", 0, "above 0 and at most 2"),
        ("rate", 2.5, "above 0 and at most 2"),
        ("weight", -1e-9, "finite and at least 0"),
        ("weight", math.inf, "finite and at least 0"),
        ("weight", 10**400, "finite and at least 0"),
        ("average", 1, "at least 0 and below 1"),
        ("size", 5000, "from 8 to 4096 pixels"),
        ("flag", 1, "true or false"),
        ("word", "three", "one or two"),
        ("word", ["one"], "one or two"),
        ("digit", 5, "3 or 4"),
        ("digit", True, "3 or 4"),
        ("limits", (1.0, 0.0), "two numbers from 0 to 1, the smaller one first"),
        ("limits", (0.0, 0.5, 1.0), "two numbers from 0 to 1, the smaller one first"),
        ("limits", 0.5, "two numbers from 0 to 1, the smaller one first"),
        ("names", "ape", "a list of texts"),
        ("names", (1,), "a list of texts"),
        ("kinds", (), "a list of a or b, not empty"),
        ("kinds", ("c",), "a list of a or b, not empty"),
        ("sides", "640", "as in 640x480"),
        ("sides", 640, "text"),
        ("place", 3, "a path"),
        ("engine", "opengl", "raster or cuda"),
        ("by_name", [], "values by name"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_name_value_and_rule(
    name: str, value: Any, rule: str
) -> None:
    with pytest.raises(WrongValue) as caught:
        Everything(**{name: value})
    error = caught.value
    assert (error.name, error.value, error.rule) == (name, value, rule) or value != value
    shown = value if isinstance(value, str) else repr(value)
    assert str(error) == f"`{name}` is {shown}: it must be {rule}" or len(shown) > 100


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("count", np.int64(3), 3),
        ("share", 1, 1.0),
        ("share", np.float32(0.5), 0.5),
        ("digit", None, None),
        ("limits", [0, 1], (0.0, 1.0)),
        ("names", ["ape", "cat"], ("ape", "cat")),
        ("place", "there", Path("there")),
        ("sides", "640x480", "640x480"),
    ],
)
def test_values_become_their_fields_own_kind(name: str, value: Any, taken: Any) -> None:
    kept = getattr(Everything(**{name: value}), name)
    assert kept == taken
    assert type(kept) is type(taken) or isinstance(taken, Path)


def test_checking_alone_changes_nothing() -> None:
    @dataclass(frozen=True)
    class Settings:
        limits: Annotated[tuple[_Share, _Share], Ascending()]

    settings = Settings([0, 1])  # type: ignore[arg-type]
    check(settings)
    assert settings.limits == [0, 1]


@given(
    st.sampled_from([field.name for field in dataclasses.fields(Everything)]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=200),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=6,
    ),
)
def test_any_value_is_kept_or_refused_in_one_short_line(name: str, value: Any) -> None:
    try:
        kept = getattr(Everything(**{name: value}), name)
    except WrongValue as error:
        text = str(error)
        assert text.startswith(f"`{name}` is ")
        assert text.isprintable()
        assert len(text) < 250
    else:
        assert getattr(Everything(**{name: kept}), name) == kept


def test_values_of_a_file_are_fitted_to_a_class_before_it_is_made() -> None:
    assert fitted_to(Everything, {"limits": [0, 1], "place": "there"}) == {
        "limits": (0.0, 1.0),
        "place": Path("there"),
    }
    with pytest.raises(WrongValue, match=r"^`count` is 0: it must be at least 1$"):
        fitted_to(Everything, {"share": 1, "count": 0})
    said = r"^there is no setting counts: count, share, .* known; did you mean count\?$"
    with pytest.raises(SettingError, match=said):
        fitted_to(Everything, {"counts": 1})


def test_settings_made_of_others_are_refused_by_the_others_names() -> None:
    @dataclass(frozen=True)
    class Owner:
        percent: float

    owner = Owner(150.0)
    with pytest.raises(WrongValue) as caught, known_as(owner, share="percent"):
        Everything(share=owner.percent / 100)
    assert str(caught.value) == "`percent` is 150.0: it must be from 0 to 1"
    with pytest.raises(WrongValue, match=r"^`count` is 0"), known_as(owner, share="percent"):
        Everything(count=0)


def test_names_are_put_into_the_readers_words_and_nothing_else_is() -> None:
    text = "`off_axis` is 3, see `models_info.json` and `Widget`: give `cut_from` too"
    assert worded(text, lambda name: "--" + name.replace("_", "-")) == (
        "--off-axis is 3, see `models_info.json` and `Widget`: give --cut-from too"
    )


def test_a_missing_package_says_who_needs_it_and_how_to_get_it() -> None:
    error = MissingDependency("CORAL's SVM", "scikit-learn", "'render-adapt[paper]'")
    assert isinstance(error, RenderAdaptError)
    assert (error.what, error.package) == ("CORAL's SVM", "scikit-learn")
    assert str(error) == (
        "CORAL's SVM needs scikit-learn; install with: pip install 'render-adapt[paper]'"
    )


SETTINGS = (
    AlignConfig, BaselineConfig, FrameConfig, PlanConfig, Randomization, RunConfig, TrainConfig,
    TrainRun,
)  # fmt: skip
NEEDED: dict[type[Any], dict[str, Any]] = {
    RunConfig: {"objects": ("ape",), "n": 1},
    TrainRun: {"objects": ("ape",), "target": Path("there"), "out": Path("here")},
    AlignConfig: {"objects": ("ape",), "target": Path("there"), "out": Path("here")},
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_setting_of_every_class_is_held_to_its_kind(kind: type[Any]) -> None:
    """Nothing is an object of a class that no setting knows; the field is named that has it."""
    taken = set()
    for field in dataclasses.fields(kind):
        try:
            kind(**{**NEEDED.get(kind, {}), field.name: dataclasses})
        except RenderAdaptError as error:
            assert f"`{field.name}`" in str(error)  # noqa: PT017 (any of many may be raised)
        else:
            taken.add(field.name)
    assert taken == set()


BELOW_THE_COMMAND_LINE = ("safe_files", "checked_settings", "cad_models", "renderer", "adapter")
COMMANDS_OF_THEIR_OWN = {
    "cad_models/builtin/make_models.py",
    "renderer/_engines/blender/renderer.py",
    "renderer/_engines/cuda/device.py",
}
"""Files that start another program, or are one."""


def test_packages_below_the_command_line_know_none_of_its_flags() -> None:
    flag = re.compile(r"(?<![\w-])--[a-z]")
    known = set()
    for package in BELOW_THE_COMMAND_LINE:
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                text = node.value if isinstance(node, ast.Constant) else None
                if isinstance(text, str) and flag.search(text):
                    known.add(file.relative_to(ROOT).as_posix())
    assert known == COMMANDS_OF_THEIR_OWN
