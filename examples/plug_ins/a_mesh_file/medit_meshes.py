"""A mesh file of your own: Medit's `.mesh`, which FreeFEM, Gmsh and INRIA's programs write.

    pip install examples/plug_ins/a_mesh_file
    render-adapt --objects bracket=bracket.mesh --n 1000

Of a text its triangles and quadrangles are read. The entry point in `pyproject.toml`, called as the
files' extension is, is all that makes it known.

Source: Frey, "MEDIT: an interactive mesh visualization software", INRIA RT-0253, 2001.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cad_models import ModelError, RawMesh, Source, SourceFiles

MOST_BYTES = 2**26
"""A text's words take some ten times its size in memory."""
IN_A_ROW = {
    "MeshVersionFormatted": 0, "Dimension": 0, "Vertices": 4, "Triangles": 4, "Quadrilaterals": 5,
    "Edges": 3, "Corners": 1, "RequiredVertices": 1, "RequiredEdges": 1, "Ridges": 1,
    "Tetrahedra": 5, "Hexahedra": 9, "Normals": 3, "NormalAtVertices": 2, "Tangents": 3,
    "TangentAtVertices": 2,
}  # fmt: skip
"""Numbers in each section's rows, with the label that is the last of most."""


def read(files: SourceFiles) -> RawMesh:
    """The mesh.

    Raises:
        ModelError: the file is too large, breaks off, or is no text of this kind.
    """
    label = str(files.path)
    if len(files.content) > MOST_BYTES:
        raise ModelError(f"{label} has more than {MOST_BYTES >> 20} MiB; export it as PLY")
    lines = files.content.decode("ascii", errors="replace").splitlines()
    sections = _sections([word for line in lines for word in line.split("#")[0].split()], label)
    none = np.empty((0, 9))
    corners = sections.get("Quadrilaterals", none)
    triangles = [
        sections.get("Triangles", none)[:, :3],
        corners[:, [0, 1, 2]],
        corners[:, [0, 2, 3]],
    ]
    return RawMesh(
        vertices=sections.get("Vertices", none)[:, :3],
        faces=np.concatenate(triangles).astype(np.int64) - 1,
        notes=tuple(
            f"{files.path.name}: of its {name.lower()} nothing is shown"
            for name in ("Tetrahedra", "Hexahedra")
            if len(sections.get(name, none))
        ),
    )


def _sections(words: list[str], label: str) -> dict[str, NDArray[np.float64]]:
    """The rows of each section, by its name."""
    if words[:1] != ["MeshVersionFormatted"] or words[2:4] != ["Dimension", "3"]:
        raise ModelError(f"{label} is no 3-D Medit mesh in text; export it as one")
    found: dict[str, NDArray[np.float64]] = {}
    at = 0
    while at < len(words) and words[at] != "End":
        name = words[at]
        if name not in IN_A_ROW:
            raise ModelError(f"{label} has {name[:40]!r} where a section begins; export it as PLY")
        try:
            count, width = int(words[at + 1]), IN_A_ROW[name]
            if not 0 <= count <= len(words):
                raise ValueError(count)
            rows = np.array(words[at + 2 : at + 2 + count * width], np.float64)
            found[name] = rows.reshape(count, width) if width else rows
        except (IndexError, ValueError):
            raise ModelError(f"{label} breaks off in its {name}; export it again") from None
        at += 2 + count * width
    return found


SOURCE = Source("Medit", ("mesh",), read)
