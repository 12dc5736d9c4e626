"""An adapter's card: what it was trained on, how good it is, and what its makers say of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from adapter import SHIPPED_ADAPTER, AdapterInfo, TargetCut, read_info
from render_adapt._exceptions import DatasetError
from render_adapt._printable import printable
from render_adapt._report.index import ReportedDataset
from render_adapt._verdict.card import CARD, MOST_CARD_BYTES
from render_adapt._verdict.words import headline
from safe_files import read_file

NOT_SAID = "not said"
_MOST_LETTERS = 300
"""Of a value that a file holds, which may be anything."""


def adapter_card(dataset: ReportedDataset, folder: Path | None) -> dict[str, Any] | None:
    """What the page says of the adapter that made a dataset; None where none did.

    Args:
        dataset: the dataset.
        folder: the adapter's, None for the one that comes with the package.

    Raises:
        DatasetError: the folder holds another adapter.
        AdapterError: it holds none.
    """
    of_runs = [run["adapter"] for run in dataset.runs if run["adapter"] is not None]
    if not of_runs:
        return None
    if any(other != of_runs[0] for other in of_runs):
        rows = list({str(row): row for of_run in of_runs for row in hash_rows(of_run)}.values())
        return {"name": None, "rows": rows, "html": ""}
    hashes = of_runs[0]
    info = read_info(folder or SHIPPED_ADAPTER)
    told = dataset.manifest.get("verdict")
    as_told = [["verdict", printable(told)]] if isinstance(told, str) else []
    if info.sha256 != hashes:
        if folder is not None:
            raise DatasetError(
                f"`adapter` {folder} is not the adapter that made {dataset.folder} (the SHA-256 of "
                "its files differ): give the one that did, or leave `adapter` out"
            )
        return {"name": None, "rows": as_told + hash_rows(hashes), "html": ""}
    place = folder or SHIPPED_ADAPTER
    return {
        "name": printable(place.resolve().name),
        "rows": [
            *(as_told if info.verdict is None else ()),
            *adapter_rows(info),
            *hash_rows(hashes),
        ],
        "html": _as_html(read_card(place)),
    }


def adapter_rows(info: AdapterInfo) -> list[list[str]]:
    """What `adapter.json` says, for people: names and values, in order."""
    noise = f"{info.noise_dimension} numbers" if info.noise_dimension else "none"
    training = f"preset {info.preset}, {info.steps:,} steps" if info.preset else NOT_SAID
    rows = [
        [
            "takes",
            f"{info.size} x {info.size} px, {channels_text(info)}, window {info.window_mm:g} mm",
        ],
        ["noise", noise],
        ["training", training],
        ["objects", ", ".join(info.class_names) or NOT_SAID],
        ["data", info.provenance or NOT_SAID],
    ]
    if info.cut is not None:
        rows.insert(1, ["its crops were cut", _cut_text(info.cut)])
    if (verdict := headline(info)) is not None:
        rows.insert(0, ["verdict", verdict])
    for name, value in info.figures.items():
        entries = value.items() if isinstance(value, dict) else [("", value)]
        rows += [
            [f"{name} {key}".replace("_", " ").rstrip(), shown_value(entry)]
            for key, entry in entries
        ]
    return rows


def channels_text(info: AdapterInfo) -> str:
    """`RGB` or `RGB-D`."""
    return "RGB-D" if info.channels == 4 else "RGB"


def _cut_text(cut: TargetCut) -> str:
    """How an adapter's target was cut, in words."""
    middle = {
        "mean": "the mean of the mesh's vertices",
        "box": "the bounding box's centre",
        "origin": "the mesh's origin",
        "visible": "the box of what is seen",
    }[cut.centre]
    off = f"up to {cut.off_axis_degrees:g} degrees off" if cut.off_axis_degrees else "on"
    pixels = "" if cut.pixels is None else f", some {cut.pixels} of its pixels wide"
    return f"{middle} in the middle, {off} the camera's axis{pixels}"


def hash_rows(hashes: dict[str, str]) -> list[list[str]]:
    """The hashes of an adapter's networks, for people."""
    return [[f"SHA-256 of {name}", value] for name, value in sorted(hashes.items())]


def read_card(folder: Path) -> str:
    """What an adapter's makers say of it, as Markdown; empty where they say nothing.

    Raises:
        DatasetError: it cannot be read.
    """
    path = folder / CARD
    try:
        content = read_file(path, most=MOST_CARD_BYTES, inside=folder)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}): remove it") from None
    return content.decode("utf-8", errors="replace")


def _as_html(text: str) -> str:
    """A model card as HTML; markup within it is shown, not obeyed."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link"])
    tokens = reader.parse(text)
    for token in tokens:
        token.attrs.pop("style", None)  # which the page's policy does not allow
    return str(reader.renderer.render(tokens, reader.options, {}))


def shown_value(value: object) -> str:
    """A setting's or a figure's value as text."""
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(shown_value, value))
    return str(value)[:_MOST_LETTERS]


def shown_values(values: Iterable[object]) -> str:
    """What several runs have of a setting, each value once."""
    return " / ".join(dict.fromkeys(map(shown_value, values)))
