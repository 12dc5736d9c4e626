"""`render-adapt calibrate`: label fidelity by an adapter's own crops, and what it is worth."""

from __future__ import annotations

from pathlib import Path

from adapter import adapter_folder, read_info, read_target
from render_adapt._cli.consoles import output
from render_adapt._cli.settings import in_flags
from render_adapt._config import Units, plan_as_learnt, split_names
from render_adapt._fidelity.calibrate import calibrate_adapter
from render_adapt._run_models import load_run_models, source_renderer
from render_adapt._verdict.measuring import judge_adapter
from render_adapt._verdict.words import paragraph


def calibrate(
    *,
    adapter: str,
    objects: tuple[str, ...],
    models: Path | None = None,
    units: Units | None = None,
    window: float | None = None,
    crops: int = 4000,
    target: Path | None = None,
) -> None:
    """Calibrate label fidelity for an adapter by its own crops; `train` does so by itself.

    With crops of the camera it also says what the adapter is worth beside them.

    Parameters
    ----------
    adapter
        Folder of a trained adapter.
    objects
        Objects that it was trained for: names, or NAME=FILE for a mesh of your own.
    models
        A BOP models folder, or a .blend file, in place of the built-in models.
    units
        Unit of the mesh files, where it is not millimetres.
    window
        Side of the square that a crop shows at the object's distance, millimetres [default: the
        adapter's own].
    crops
        Crops to make for it, 1000 or more.
    target
        Crops of the camera, as for `train`.
    """
    names = split_names(objects)
    loaded = load_run_models(names, models, units)
    renderer = source_renderer(loaded, names, models)
    info = read_info(adapter_folder(adapter))
    plan = plan_as_learnt(info, window=window)
    if target is None:
        calibrate_adapter(adapter, loaded, plan, crops, renderer)
    else:
        real = read_target(target, size=info.size, channels=3)
        info = judge_adapter(adapter, loaded, plan, real.images, crops, renderer)
        output.print(in_flags(f"verdict: {paragraph(info)}"), soft_wrap=True)
    output.print(f"label fidelity is calibrated for {adapter}", soft_wrap=True)
