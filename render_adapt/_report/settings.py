"""A run's settings in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from render_adapt._report.adapter import shown_value

WORDS: dict[str, tuple[str, str]] = {
    "version": ("version of render-adapt", ""),
    "seed": ("seed", ""),
    "renderer": ("drawn by", ""),
    "lit_by": ("lit by the light of the", ""),
    "size": ("side of a crop", "px"),
    "width": ("width of a frame", "px"),
    "height": ("height of a frame", "px"),
    "objects": ("objects in a frame", ""),
    "window": ("window at the object's distance", "mm"),
    "distance": ("distance of the camera", "mm"),
    "viewpoints": ("seen from", ""),
    "subdivisions": ("subdivisions of the views' sphere", ""),
    "in_plane": ("turned in the picture by up to", "degrees"),
    "in_plane_steps": ("turns of each view (0: drawn anew)", ""),
    "rectified": ("turned upright", ""),
    "distractors": ("objects that no crop is of", ""),
    "repeat_objects": ("an object may be shown twice", ""),
    "centre": ("in a crop's middle", ""),
    "off_axis": ("off the camera's axis by up to", "degrees"),
    "picture": ("cut from pictures of", "px"),
    "camera": ("camera: fx, fy, cx, cy", "px"),
    "lights": ("lights", ""),
    "light_angle": ("lights off their middle direction by up to", "degrees"),
    "light_from": ("where lights are", ""),
    "light_intensity": ("strength of lights", ""),
    "ambient_intensity": ("light from everywhere", ""),
    "light_tint": ("tint of lights", ""),
    "environments": ("pictures of surroundings", ""),
    "color_jitter": ("change of an object's colours", ""),
    "specular": ("strength of highlights", ""),
    "shininess": ("sharpness of highlights", ""),
    "texture_swap": ("share of objects with another surface", ""),
    "texture_period": ("size of drawn patterns", "mm"),
    "textures": ("pictures for surfaces", ""),
    "background": ("what is behind", ""),
    "photographs": ("photographs", ""),
    "occluders": ("objects before the target", ""),
    "occlusion": ("share of the target's width that they hide at most", ""),
    "neighbours": ("objects beside it", ""),
    "off_centre": ("shift of the middle by up to", "of a crop's width"),
    "zoom": ("zoom", ""),
    "exposure": ("exposure", "stops"),
    "white_balance": ("play of the white balance", ""),
    "motion_blur": ("blur by movement", "px"),
    "focus_blur": ("blur of the lens", "px"),
    "color_noise": ("noise of colours", "of 255"),
    "depth_sensor": ("depth sensor", ""),
    "depth_noise": ("noise of a Gaussian depth sensor", "mm at 1 m"),
}
"""What a setting of a manifest is for whoever reads the page, and its unit; in the page's order."""
_VALUES = {"so3": "any side", "hemisphere": "above, as on a table"}
_SHOWN_OF_A_HASH = 12


def setting_rows(runs: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Names and values of the settings that runs have, for people, in order.

    Args:
        runs: their manifests; of several runs each setting has all that they had.
    """
    shown: dict[str, list[str]] = {}
    for run in runs:
        settings = {name: run.get(name) for name in ("version", "seed", "renderer", "lit_by")}
        for group in ("plan", "randomization"):
            entries = run.get(group)
            settings |= entries if isinstance(entries, dict) else {}
        for name, value in settings.items():
            if value is not None:
                between = " x " if name == "picture" else " to "
                shown.setdefault(name, []).append(_in_words(value, between))
    places = {name: place for place, name in enumerate(WORDS)}
    rows = []
    for name in sorted(shown, key=lambda name: places.get(name, len(places))):
        words, unit = WORDS.get(name, (name.replace("_", " "), ""))
        rows.append([words, f"{' / '.join(dict.fromkeys(shown[name]))} {unit}".rstrip()])
    return rows


def _in_words(value: object, between: str = " to ") -> str:
    """A value; two numbers, as of a range, with a word between them."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list) and len(value) == 2 and all(_is_number(one) for one in value):
        least, greatest = map(_in_words, value)
        return least if least == greatest else f"{least}{between}{greatest}"
    if isinstance(value, list):
        return ", ".join(map(_in_words, value))
    if isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef"):
        return f"some, with the SHA-256 {value[:_SHOWN_OF_A_HASH]}"
    return _VALUES.get(str(value), shown_value(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
