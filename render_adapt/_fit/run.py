"""A fit from its command to its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from render_adapt._exceptions import DatasetError
from render_adapt._files import writing
from render_adapt._fit.colors import jitter, object_colors, own_colors
from render_adapt._fit.estimate import Estimate, estimate
from render_adapt._fit.framing import Framing, framing
from render_adapt._fit.measures import Measures, measure
from render_adapt._fit.settings import FEWEST, FitConfig, FitSummary, Likeness
from render_adapt._fit.sheet import write_fit_sheet
from render_adapt._fit.statistics import TOLD, Statistics, summarise
from render_adapt._fit.text import FIRST_LINE, file_text, setting_parts
from render_adapt._fit.views import AlignedViews, read_views
from render_adapt._run_models import load_run_models, source_renderer
from renderer import read_randomization
from safe_files import read_file, write_file

_ADVICE = "choose another file with `out`"


def fit(
    config: FitConfig, on_progress: Callable[[str, int, int], None] | None = None
) -> FitSummary:
    """Find the randomisation whose renders are most like the crops of a camera, and write it.

    Each crop is measured beside a render of its own pose: in what light its object is, how bright
    and how coloured, how blurred its outline is, how noisy. Then settings are moved until renders
    in the crops' poses measure as the crops do.

    Args:
        config: which crops, and where to.
        on_progress: called with what is being done, how much of it is, and how much there is.

    Returns:
        What was found; the file is written, and a picture of crops beside renders.

    Raises:
        RenderAdaptError: one sentence that says why not.
    """
    show = on_progress or (lambda stage, done, total: None)
    _refuse_other_file(config)
    models = load_run_models(config.objects, config.models, config.units)
    renderer = source_renderer(models, config.objects, config.models)
    views = read_views(config.target, models, renderer, config.crops)
    seen = measure(views, views.rgb)
    told = _told(config, seen)
    found, drawn = estimate(views, seen, config.seed, lambda k, n: show("fitting", k, n))
    return _write(config, views, found, seen, drawn, told)


def _refuse_other_file(config: FitConfig) -> None:
    """Do not write over what somebody else made."""
    if not config.out.exists():
        return
    try:
        content = read_file(config.out, most=2**20)
    except OSError as error:
        raise DatasetError(f"{config.out} is in the way ({error.strerror}): {_ADVICE}") from None
    if not content.startswith(FIRST_LINE.encode()):
        raise DatasetError(f"{config.out} holds something else than a fit: {_ADVICE}")


def _write(
    config: FitConfig,
    views: AlignedViews,
    found: Estimate,
    seen: Measures,
    drawn: Measures,
    told: Mapping[str, int],
) -> FitSummary:
    objects, names = views.plans.object_index, [model.name for model in views.models]
    wanted = summarise(seen, views.plans, None)
    likeness = _likeness(wanted, summarise(drawn, views.plans, wanted.above))
    colors = object_colors(seen, drawn, objects, len(names))
    own = own_colors(seen, objects, len(names))
    frame = framing(views)
    by_object = {name: int((objects == k).sum()) for k, name in enumerate(names)}
    by_name = {
        name: (float(color[0]), float(color[1]), float(color[2]))
        for name, color in zip(names, colors, strict=True)
        if np.isfinite(color[0])
    }
    text = file_text(
        config.preset, config.target.resolve().name, by_object,
        setting_parts(found, wanted, told, frame, jitter(colors, own)), likeness,
        _notes(by_name, frame, views.plan.size),
    )  # fmt: skip
    with writing(config.out, _ADVICE):
        config.out.parent.mkdir(parents=True, exist_ok=True)
        write_file(config.out, text)
        randomization = read_randomization(config.out)
        write_fit_sheet(config.contact_sheet, views, randomization, config.seed)
    return FitSummary(
        file=config.out, contact_sheet=config.contact_sheet, randomization=randomization,
        by_object=by_object, colors=by_name, likeness=likeness, distance=frame.distance,
    )  # fmt: skip


def _told(config: FitConfig, seen: Measures) -> dict[str, int]:
    """By part, how many crops say something of it; 0 where they are too few.

    Raises:
        DatasetError: too few say anything of the light.
    """

    def count(values: NDArray[np.float64]) -> int:
        known = int(np.isfinite(values).sum())
        return known if known >= FEWEST else 0

    told = {
        "light": count(seen.ambient), "behind": count(seen.behind_light[:, 0]),
        "direction": int((seen.told > TOLD).sum()), "blur": count(seen.blur),
        "noise": count(seen.grain),
    }  # fmt: skip
    if not told["light"]:
        raise DatasetError(
            f"{config.target} shows too little of its objects in {len(seen.ambient)} crops to "
            "measure their light: align crops in which they are larger"
        )
    return told


def _likeness(crops: Statistics, renders: Statistics) -> tuple[Likeness, ...]:
    pairs = {
        "brightness of an object, stops": "stops",
        "red and blue of an object, stops": "balance",
        "light": "light",
        "ambient light": "ambient",
        "variance of outlines, square pixels": "blur",
        "variance of noise, of 255 squared": "noise",
    }
    return tuple(
        Likeness(name, getattr(crops, field), getattr(renders, field))
        for name, field in pairs.items()
    )


def _notes(colors: dict[str, tuple[float, float, float]], frame: Framing, size: int) -> list[str]:
    """What was seen and is no setting of the file."""
    shown = ", ".join(f"{name} {r:.2f} {g:.2f} {b:.2f}" for name, (r, g, b) in colors.items())
    distance = "The distance of objects cannot be told without depth."
    if frame.distance is not None:
        near, far = frame.distance
        distance = (
            f"Nine objects in ten are {near:.0f} to {far:.0f} mm away: --distance {near:.0f} "
        )
        distance += f"{far:.0f}."
    return [
        f"Pixels are those of crops of {size}; blur them as much more as yours are larger.",
        f"Red, green and blue of objects, in parts of their models': {shown}.",
        f"{distance} How far off the camera's axis crops lie cannot be told from them.",
    ]
