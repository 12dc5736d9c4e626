"""Your camera: an adapter trained on unlabelled crops, and a dataset that it adapted.

    pip install 'render-adapt[train]'
    python examples/03_your_camera.py [FOLDER]

FOLDER has square crops of a duck, pictures alone or with depth; without one, renders with strong
randomisation stand in for them. On the command line:

    render-adapt train --objects duck --target FOLDER --out my_adapter
    render-adapt --objects duck --n 20 --adapter my_adapter
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import adapter
import render_adapt

RUNS = Path("runs/your_camera")


def main() -> None:
    """Say what there is to learn from, train for two steps, and use what came of it."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else stand_in()
    run = render_adapt.TrainRun(
        objects=("duck",), target=target, out=RUNS / "my_adapter", source_crops=64
    )
    # Two steps of a narrow network show how it goes and teach nothing: leave all this out for the
    # preset's own settings, which take an hour or two.
    short = dataclasses.replace(
        adapter.PRESETS["fast"], steps=2, batch=4, width=8, discriminator_width=4
    )
    # What --dry-run says: how many crops were found, their depth, and what was left out and why.
    print("\n".join(render_adapt.find_target(run, short).report.lines()))
    render_adapt.train_adapter(run, short, preset="fast")

    config = render_adapt.RunConfig(
        objects=("duck",), n=4, out=RUNS / "dataset", adapter=str(run.out), workers=1
    )
    print(f"look at {render_adapt.generate(config).contact_sheet}")


def stand_in() -> Path:
    """The pictures of a run, which no camera took."""
    config = render_adapt.RunConfig(
        objects=("duck",), n=32, out=RUNS / "stand_in", randomize="strong", adapter="none",
        workers=1,
    )  # fmt: skip
    return render_adapt.generate(config).folder / "train/000000/rgb"


if __name__ == "__main__":
    main()
