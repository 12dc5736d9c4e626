"""A fit as a TOML file, with what was measured beside each setting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from render_adapt._fit.estimate import Estimate
from render_adapt._fit.framing import Framing
from render_adapt._fit.settings import Likeness
from render_adapt._fit.statistics import Statistics
from render_adapt._printable import printable

FIRST_LINE = "# Randomisation by `render-adapt fit`."
"""By which a file is known for one that may be written anew."""
Part = tuple[str, Mapping[str, Any]]
"""What was measured, and the settings that follow."""


def file_text(
    preset: str,
    target: str,
    by_object: Mapping[str, int],
    parts: Sequence[Part],
    likeness: Sequence[Likeness],
    notes: Sequence[str],
) -> str:
    """The whole file.

    Args:
        preset: what it begins with.
        target: the aligned dataset's name.
        by_object: measured crops by object.
        parts: the settings.
        likeness: how like the renders are.
        notes: what else was found, one sentence each.
    """
    crops = ", ".join(f"{name} {count}" for name, count in by_object.items())
    lines = [
        FIRST_LINE,
        *_commented(
            f"Measured on {sum(by_object.values())} aligned crops of {target} ({crops}), beside "
            "renders in their poses. A range is such that a tenth of the crops is below what a "
            "tenth of its draws is below, and likewise above."
        ),
        "",
        "# What crops do not tell (backgrounds, other objects, the depth sensor) is as here:",
        f'preset = "{preset}"',
    ]
    for comment, settings in parts:
        lines += ["", *_commented(comment)]
        lines += [f"{name} = {_toml(value)}" for name, value in settings.items()]
    lines += ["", "# What a tenth is below, and a tenth above:"]
    lines += [
        f"#   {one.name}: {_pair(one.crops)} in the crops, {_pair(one.renders)} in renders"
        for one in likeness
    ]
    for note in notes:
        lines += ["", *_commented(note)]
    # A name may have characters that no comment may have.
    return "".join(printable(line) + "\n" for line in lines)


def setting_parts(
    found: Estimate, wanted: Statistics, told: Mapping[str, int], frame: Framing, jitter: float
) -> list[Part]:
    """The settings by what tells them, each with how.

    Args:
        found: the settings.
        wanted: what the crops have in common.
        told: by part, how many crops say something of it.
        frame: how the crops are framed.
        jitter: of the models' colours.
    """
    drawn = found.randomization
    about = {True: "the board's upright", False: "the camera's own direction"}
    parts: list[Part] = [
        (
            f"Light, from {told['light']} crops; where it is from, from {told['direction']}. Half "
            f"of them have it within {_degrees(wanted.upward)} degrees of {about[found.above]}.",
            {
                "lights": (1, 1), "light_from": drawn.light_from, "light_angle": drawn.light_angle,
                "light_intensity": drawn.light_intensity,
                "ambient_intensity": drawn.ambient_intensity, "light_tint": drawn.light_tint,
            },
        ),
        (
            f"Exposure and white balance: what objects and what is behind them have in common, in "
            f"{told['behind']} crops.",
            {"exposure": drawn.exposure, "white_balance": drawn.white_balance},
        ),
        (
            "Highlights, where the light would be mirrored.", {"specular": drawn.specular},
        ),
        (
            "Colours that objects have and their models have not; objects look like their models "
            "otherwise.",
            {"color_jitter": jitter, "texture_swap": 0.0},
        ),
        (
            "Framing, with the error of the alignment.",
            {"off_centre": frame.off_centre, "zoom": frame.zoom},
        ),
    ]  # fmt: skip
    if told["blur"]:
        parts.append(
            (
                f"Blur, from how steep outlines are in {told['blur']} crops; of movement what is "
                "blurred more in one direction than across it.",
                {"motion_blur": drawn.motion_blur, "focus_blur": drawn.focus_blur},
            )
        )
    if told["noise"]:
        parts.append(
            (
                f"Noise, where {told['noise']} crops are evenest.",
                {"color_noise": drawn.color_noise},
            )
        )
    return parts


def _commented(text: str) -> list[str]:
    lines, line = [], "#"
    for word in text.split():
        if len(line) + 1 + len(word) > 100:
            lines.append(line)
            line = "#"
        line += f" {word}"
    return [*lines, line]


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value) if isinstance(value, int) else f"{round(value, 3) + 0.0}"


def _pair(values: tuple[float, float]) -> str:
    return f"{values[0]:.2f} to {values[1]:.2f}"


def _degrees(cosine: float) -> str:
    return f"{math.degrees(math.acos(max(-1.0, min(1.0, cosine)))):.0f}"
