"""`render-adapt presets`: which settings have a name."""

from __future__ import annotations

from cyclopts import App

from render_adapt._cli.consoles import output

presets_app = App(name="presets", help="Settings that have a name.", help_epilogue="")

PRESETS_IN_WORDS: dict[str, dict[str, str]] = {
    "render-adapt --preset": {
        "default": "crops cut as the adapter's own",
        "linemod": "crops cut as LINEMOD's camera crops are, and as far off the camera's axis",
        "linemod-paper": "the paper's source set: 109,208 renders of 11 objects, each pose once",
    },
    "render-adapt --randomize": {
        "none": "one steady light",
        "linemod": "light alone, on black, for an adapter to go on from",
        "strong": "everything, for training without an adapter or against one",
    },
    "render-adapt train --preset": {
        "fast": "PixelDA for processors without a GPU",
        "best": "for crops that `render-adapt align` aligned (docs/best.md)",
        "linemod": "the paper's settings for LINEMOD, without content loss",
        "linemod-masked": "the same, with content loss on the object",
        "mnistm": "the paper's settings for MNIST to MNIST-M",
        "usps": "the paper's settings for MNIST to USPS",
    },
    "render-adapt reproduce --preset": {
        "smoke": "minutes: whether it works",
        "cpu": "hours on two cores",
        "full": "the paper's networks and training lengths, for a GPU",
    },
}
"""Of each option that takes one, its presets."""
_WIDEST = max(len(name) for presets in PRESETS_IN_WORDS.values() for name in presets)


@presets_app.command(name="list")
def list_presets() -> None:
    """List the presets of every command."""
    for option, presets in PRESETS_IN_WORDS.items():
        output.print(option, style="bold", soft_wrap=True)
        for name, words in presets.items():
            output.print(f"  {name:<{_WIDEST}}  {words}", soft_wrap=True)
