"""The card of an adapter that was trained here."""

from __future__ import annotations

from pathlib import Path

from adapter import AdapterInfo
from render_adapt._verdict.words import (
    LEAST_VARIED,
    MOST_DISTANCE,
    MOST_LEFT,
    MOST_TOLD_APART,
    MOST_UNFAITHFUL,
    is_below_bar,
    paragraph,
)
from safe_files import read_file, write_file

CARD = "MODEL_CARD.md"
MOST_CARD_BYTES = 200_000
_OURS = "Written by `render-adapt`, which keeps a card that does not end with this line."


def write_card(folder: Path, info: AdapterInfo) -> None:
    """Write what is known of an adapter into its folder, but not over a card of somebody's own.

    Raises:
        OSError: it cannot be read or written.
    """
    path = folder / CARD
    if path.exists():
        before = read_file(path, most=MOST_CARD_BYTES, inside=folder)
        if not before.decode("utf-8", errors="replace").rstrip().endswith(_OURS):
            return
    write_file(path, card_text(folder.resolve().name, info))


def card_text(name: str, info: AdapterInfo) -> str:
    """A card, as Markdown.

    Args:
        name: the adapter's.
        info: its description.
    """
    warning = ["**Below the bar: do not rely on its crops.**"] if is_below_bar(info) else []
    takes = "RGB-D" if info.channels == 4 else "RGB"
    trained = (
        f"Preset {info.preset or 'none'}, {info.steps:,} steps, on crops of {info.size} pixels "
        f"({takes}) of {', '.join(info.class_names) or 'objects that are not named'}."
    )
    parts = [
        f"# {name}", *warning, "## Verdict", paragraph(info) or "Nothing was measured.",
        *_table(info), "## Training", trained, "## Data", info.provenance or "Nothing is said.",
        _OURS,
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _table(info: AdapterInfo) -> list[str]:
    verdict = info.verdict
    if verdict is None:
        return []
    rows = [
        ("crops told from the camera's", f"{verdict.told_apart_percent} %",
         f"at most {MOST_TOLD_APART:g} %"),
        ("kernel distance from the camera's", f"{verdict.distance}", f"at most {MOST_DISTANCE:g}"),
        ("before adaptation", f"{verdict.distance_before}", ""),
        ("that of their middles", f"{verdict.middle_distance}",
         f"at most {MOST_LEFT:g} of that before"),
        ("before adaptation", f"{verdict.middle_distance_before}", ""),
        ("labels in doubt", f"{verdict.unfaithful_percent} %", f"at most {MOST_UNFAITHFUL:g} %"),
        ("change by noise, on objects", _change(verdict.noise_on_object),
         f"{LEAST_VARIED:g} there or elsewhere"),
        ("change by noise, elsewhere", _change(verdict.noise_off_object), ""),
        ("crops, and of the camera", f"{verdict.crops}, {verdict.real_crops}", ""),
    ]  # fmt: skip
    lines = ["| measure | this adapter | bar |", "|---|---|---|"]
    return ["\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])]


def _change(value: float | None) -> str:
    return "none" if value is None else f"{value} of 255"
