"""Commands that are imported when they are given, so that the others begin sooner."""

from __future__ import annotations

from cyclopts import App

from render_adapt._cli.examples import EXAMPLES

COMMANDS = {
    "adapters": (
        "adapters:adapters_app",
        "What makes renders look like a camera's crops.",
    ),
    "models": ("models:models_app", "The objects that can be rendered."),
    "presets": ("presets:presets_app", "Settings that have a name."),
    "verify": (
        "verify:verify",
        "Check that a dataset is what was written, file by file, and that its labels are true.\n\n"
        "Exit code 1 where they are not, with the first bad file.",
    ),
    "report": (
        "report:report",
        "Write one HTML page about a dataset: counts, views, fidelity, examples.",
    ),
    "doctor": (
        "doctor:doctor",
        "Say what works on this machine, and what to install for the rest.\n\n"
        "Exit code 1 where no dataset can be made.",
    ),
    "adapt": (
        "existing:adapt",
        "Adapt an existing BOP dataset: its pictures and depth; labels are carried over byte for "
        "byte.\n\nThe same command continues.",
    ),
    "align": (
        "align:align",
        "Find out, without labels, what each camera crop shows and how it lies.\n\n"
        "Writes those that are sure as a labelled dataset, and a table of all. The same command "
        "continues.",
    ),
    "fit": (
        "fit:fit",
        "Find the randomisation whose renders are most like your camera's aligned crops.\n\n"
        "Writes it as a file for --randomize, and a picture of crops beside renders.",
    ),
    "crop-target": (
        "crop_target:crop_target",
        "Cut unlabelled crops to train on out of whole frames of your camera.\n\n"
        "Writes a folder for `--target`, and a picture of it beside the folder.",
    ),
    "crop": (
        "existing:crop",
        "Cut LineMod crops, one around each object, out of a BOP dataset's frames, with their "
        "labels.\n\nThe same command continues.",
    ),
    "merge": (
        "merge:merge",
        "Make one dataset of several finished ones, which stay as they are.\n\n"
        "Scenes are numbered through, and objects where their numbers are another's; all else is "
        "carried over. The same command continues.",
    ),
    "train": (
        "train:train",
        "Train an adapter on unlabelled crops of your camera.\n\n"
        "Says first what was found to learn from, and in the end what the adapter is worth.",
    ),
    "calibrate": (
        "calibrate:calibrate",
        "Calibrate label fidelity for an adapter by its own crops; `train` does so by itself.\n\n"
        "With crops of the camera it also says what the adapter is worth beside them.",
    ),
    "reproduce": (
        "reproduce:reproduce",
        "Train and measure what a table of the PixelDA paper holds; the same command continues.",
    ),
}
"""Where each is in this folder, and what its docstring says of it, but for the parameters."""


def register_later(app: App) -> None:
    """Give an application these commands."""
    for name, (place, words) in COMMANDS.items():
        module, _, function = place.partition(":")
        # What is an application itself says its own epilogue.
        more = {} if function.endswith("_app") else {"help_epilogue": EXAMPLES.get(name, "")}
        app.command(f"render_adapt._cli.{module}:{function}", name=name, help=words, **more)
