"""STEP, what CAD programs exchange: surfaces, which OpenCASCADE turns into triangles.

Convention:
    Coordinates and axes stay as in the file, assemblies put together. Triangles lie off a surface
    by no more than a two-hundredth of the edges around it, neighbours are within 0.15 radians.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from cad_models._files.gltf import reader as gltf
from cad_models._files.source import MAX_BYTES, SourceFiles
from cad_models._mesh.checked import RawMesh
from cad_models._model import ModelError
from checked_settings import MissingDependency

_SECONDS = 120
_MEMORY = 4 * 1024**3
_WORKER = Path(__file__).with_name("worker.py")


def read(files: SourceFiles) -> RawMesh:
    """The mesh of a STEP file.

    Raises:
        MissingDependency: the converter is not installed.
        ModelError: it cannot read the file, or takes too long or too much memory over it.
    """
    if importlib.util.find_spec("cascadio") is None:
        raise MissingDependency(
            f"{files.path}, a STEP file,",
            "cascadio",
            "'render-adapt[step]', or export the part as STL or 3MF",
        )
    if b"ISO-10303-21" not in files.content[:4096]:
        raise ModelError(f"{files.path} is not a STEP file; export it again")
    return gltf.read(files.standing_for(_converted(files)))


def _converted(files: SourceFiles) -> bytes:
    """The file as GLB."""
    with tempfile.TemporaryFile() as output:
        try:
            ended = subprocess.run(
                [sys.executable, "-P", str(_WORKER), str(_MEMORY), str(_SECONDS)],
                input=files.content,
                stdout=output,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise ModelError(
                f"{files.path} takes more than {_SECONDS} s to turn into triangles; export it as "
                "STL or 3MF from your CAD program"
            ) from None
        size = output.seek(0, 2)
        if ended or size > MAX_BYTES:
            raise ModelError(
                f"{files.path} cannot be turned into triangles within {_SECONDS} s and "
                f"{_MEMORY >> 30} GiB, or ends the converter; export it as STL or 3MF from your "
                "CAD program"
            )
        output.seek(0)
        glb = output.read()
    if not glb:
        raise ModelError(
            f"{files.path} has no surfaces that can be read, or breaks off before its end; export "
            "it again"
        )
    return glb
