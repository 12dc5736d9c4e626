"""The light in which preset best renders: even, so that colours are told from each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from render_adapt._coupling import OWN_SETTINGS
from renderer import RANDOMIZATIONS
from safe_files import write_file

EVEN_LIGHT = replace(
    RANDOMIZATIONS["linemod"], light_intensity=(0.2, 0.4), ambient_intensity=(0.4, 0.5)
)
"""Both together reach 0.99 at most, tints included. A render that is overexposed has lost the
colours that the camera saw: from pink that is white the adapter makes red, from yellow green. It
paints the camera's own light, whatever the render's is."""
_TEXT = """\
# The light in which this adapter's renders were, for runs that say nothing of it.
preset = "linemod"
light_intensity = [{}, {}]
ambient_intensity = [{}, {}]
"""


def write_even_light(adapter: Path) -> None:
    """Have an adapter bring its light; settings that lie in its folder already are left.

    Args:
        adapter: its folder.
    """
    settings = adapter / OWN_SETTINGS
    if not settings.exists():
        text = _TEXT.format(*EVEN_LIGHT.light_intensity, *EVEN_LIGHT.ambient_intensity)
        write_file(settings, text.encode())
