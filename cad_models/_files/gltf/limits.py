"""Small files that would take all memory or time once they are unpacked: seen before they are."""

from __future__ import annotations

from cad_models._mesh.checked import MAX_VERTICES

MOST_NUMBERS = 32 * MAX_VERTICES
"""In all of a glTF's accessors: positions, normals, colours, joints and what else a vertex has."""
MOST_TEXT = 256 * 1024**2
"""Bytes of a glTF's JSON, buffers that are written into it included."""
MOST_ENTRIES = 2_000_000
"""Of a glTF's JSON, which take some hundred bytes each once they are read."""
MOST_NODES = 50_000
"""Of a glTF, and places at which it shows its meshes."""
