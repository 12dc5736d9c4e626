"""What PrusaSlicer says of the meshes in its 3MF files: which triangles are not printed."""

from __future__ import annotations

from collections import defaultdict

from cad_models._files.safe_xml import read_elements
from cad_models._files.three_mf.archive import Archive

_CONFIGURATION = "Metadata/Slic3r_PE_model.config"
_MOST_VOLUMES = 10_000


def triangles_left_out(archive: Archive) -> dict[int, list[tuple[int, int]]]:
    """By the object's id, first and last triangle of each volume that changes the print (modifiers,
    supports enforced or blocked, what is cut off) and is not printed.

    Raises:
        ValueError: what the slicer says is malformed.
        ArchiveError: it cannot be unpacked.
    """
    triangles: dict[int, list[tuple[int, int]]] = defaultdict(list)
    volumes: list[tuple[int, tuple[int, int]]] = []
    object_id = -1

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal object_id
        if name == "object":
            object_id = int(attributes["id"])
        elif name == "volume" and len(volumes) < _MOST_VOLUMES:
            span = max(int(attributes["firstid"]), 0), int(attributes["lastid"])
            volumes.append((object_id, span))
        elif name == "metadata" and volumes and attributes.get("type") == "volume":
            key, value = attributes.get("key"), attributes.get("value")
            if (key == "volume_type" and value != "ModelPart") or (key, value) == ("modifier", "1"):
                triangles[volumes[-1][0]].append(volumes[-1][1])

    if _CONFIGURATION in archive:
        read_elements(archive.chunks(_CONFIGURATION), start)
    return dict(triangles)
