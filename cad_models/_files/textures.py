"""The textures that a mesh file names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cad_models._files.pictures import MAX_PIXELS, decode_picture
from cad_models._files.source import SourceFiles
from cad_models._mesh.atlas import shrunk
from cad_models._model import ModelError


def read_textures(files: SourceFiles, names: Sequence[tuple[str, str]]) -> list[NDArray[np.uint8]]:
    """(H, W, 3) RGB pictures; where there are several, no larger than one atlas has use for.

    Args:
        files: the mesh file.
        names: for each, the folder of the file that names it, below the mesh file's own, and its
            name there.

    Raises:
        ModelError: one is missing, no picture or too large, or all are too large together.
    """
    pictures, pixels = [], 0
    for folder, name in names:
        picture = decode_picture(files.named(name, folder))
        if picture is None:
            raise ModelError(
                f"{files.path} has the texture {name[:200]!r}, which is not a picture that can be "
                "read; save it as PNG or JPEG of at most 16384 x 8192 pixels"
            )
        pictures.append(picture if len(names) == 1 else shrunk(picture))
        pixels += pictures[-1].shape[0] * pictures[-1].shape[1]
        if pixels > MAX_PIXELS:
            raise ModelError(
                f"{files.path} has textures of more than {MAX_PIXELS} pixels in all; make them "
                "smaller"
            )
    return pictures
