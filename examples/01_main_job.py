"""The main job: a labelled dataset of built-in models, and its first crop read back.

    python examples/01_main_job.py

On the command line it is one line:

    render-adapt --objects ape,cat --n 20 --out runs/main_job
"""

from __future__ import annotations

from pathlib import Path

import render_adapt


def main() -> None:
    """Make 20 crops of two objects, then look at the first one's labels."""
    # All settings are those of the command line, with _ for -. What cannot be is refused here,
    # before anything is rendered.
    config = render_adapt.RunConfig(objects=("ape", "cat"), n=20, out=Path("runs/main_job"))

    # Renders, adapts with the adapter that comes with the package, labels and writes. Called again
    # it says that all is there; after an interruption it goes on.
    summary = render_adapt.generate(config)
    print(f"{summary.crops} crops; look at {summary.contact_sheet}")

    # Any crop, in any order, as numpy arrays. Row 0 of a label is the target; others follow.
    crop = render_adapt.load(summary.folder)[0]
    print(f"rgb {crop.rgb.shape} {crop.rgb.dtype}, depth {crop.depth.shape} in millimetres")
    print(f"the object with id {crop.object_id[0]} lies at {crop.translation[0].round(1)} mm")
    print(f"turned by the quaternion {crop.quaternion[0].round(3)} (w, x, y, z)")
    print(f"seen: {crop.mask_visib[0].sum()} of the {crop.mask[0].sum()} pixels of its mask")


# Workers are processes that import this file: they must not begin a run of their own.
if __name__ == "__main__":
    main()
