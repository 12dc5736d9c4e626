"""A mesh of your own: in metres, with randomisation in place of an adapter.

    python examples/02_your_mesh.py

On the command line, with a file that you have:

    render-adapt --objects wedge=wedge.obj --units m --n 20 --randomize strong --adapter none
"""

from __future__ import annotations

from pathlib import Path

import render_adapt

# A door wedge, 8 cm long: six corners in metres, and faces that count them from 1, each with its
# corners anticlockwise as seen from outside.
WEDGE = """\
v 0 0 0
v 0.08 0 0
v 0.08 0.03 0
v 0 0.03 0
v 0.08 0 0.025
v 0.08 0.03 0.025
f 4 3 2 1
f 2 3 6 5
f 1 5 6 4
f 1 2 5
f 4 6 3
"""


def main() -> None:
    """Write the mesh, make crops of it, and say how it is seen."""
    folder = Path("runs/your_mesh")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wedge.obj").write_text(WEDGE)

    config = render_adapt.RunConfig(
        objects=(f"wedge={folder / 'wedge.obj'}",),  # NAME=FILE
        units="m",  # left out, 0.085 mm across would be refused, with this advice
        n=20,
        out=folder / "dataset",
        viewpoints="so3",  # from all sides; left out, from above as on a table
        # The shipped adapter knows LINEMOD's objects. For one of your own begin without, and let
        # lights, colours, backgrounds and noise differ from crop to crop.
        adapter="none",
        randomize="strong",
    )
    summary = render_adapt.generate(config)
    seen = render_adapt.load(summary.folder).columns["visib_fract"]
    print(f"{summary.crops} crops show {min(seen):.0%} to {max(seen):.0%} of the wedge")
    print(f"look at {summary.contact_sheet}")


if __name__ == "__main__":
    main()
