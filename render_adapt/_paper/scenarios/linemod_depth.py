"""The depth that a Kinect-like sensor would have measured of LINEMOD's real crops.

They come without depth, so a simulation stands in for the measurement: the object's CAD model at
the crop's pose, on the board that it stands on, seen by `renderer.simulate_structured_light_depth`.
What it leaves out: clutter on the board has no depth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cad_models import CadModel
from render_adapt._paper.scenarios.linemod_crops import SIZE, RealCrops, at_size
from renderer import RasterRenderer, board_depth, simulate_structured_light_depth

_OVERSAMPLING = 3  # odd, so that a crop's pixel centre is one of the finer image's


def sensor_depth(
    model: CadModel, crops: RealCrops, generator: np.random.Generator
) -> NDArray[np.float32]:
    """(N, 64, 64) millimetres: the object on its board as the sensor would have measured it.

    The board is the plane through the mesh's lowest point.
    """
    plans = at_size(crops.plans, SIZE * _OVERSAMPLING)
    surface = RasterRenderer([model], threads=2, levels=False).render(plans).depth
    board = board_depth(plans, np.full(len(plans), model.bounds[0, 2]))
    scene = np.where(surface > 0, surface, board)
    middle = slice(_OVERSAMPLING // 2, None, _OVERSAMPLING)
    return np.stack(
        [
            simulate_structured_light_depth(depth, matrix[0, 0], generator)[middle, middle]
            for depth, matrix in zip(scene, plans.camera_matrix, strict=True)
        ]
    )
