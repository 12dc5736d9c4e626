"""The models of a run, from wherever they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cad_models import CadModel, declare_symmetries, load_models
from checked_settings import SettingError
from render_adapt._config import LitBy, available_cores, split_names
from renderer import BlendFile, Renderer, load_blend_models, make_renderer


def blend_file(
    objects: tuple[str, ...], models: Path | None, lit_by: LitBy = "plan"
) -> BlendFile | None:
    """The .blend file that a run's models are from; None where they are from none."""
    if models is None or models.suffix.lower() != ".blend":
        return None
    return BlendFile(models, objects, scene_light=lit_by == "scene")


def load_run_models(
    objects: tuple[str, ...],
    models: Path | None,
    units: str | None,
    symmetry: Sequence[str] = (),
    lit_by: LitBy = "plan",
) -> list[CadModel]:
    """Load the objects of a run, in the order given.

    Args:
        objects: as for `load_models`, or names in a .blend file.
        models: a folder in BOP's layout, or a .blend file.
        units: of mesh files.
        symmetry: as for `declare_symmetries`.
        lit_by: what lights them, which the hashes of a .blend file's objects are of too.

    Raises:
        SettingError: the .blend file is not there, or units are given for it; a symmetry that
            cannot be.
        ModelError, RenderError: an object is not known or not usable.
    """
    blend = blend_file(objects, models, lit_by)
    if blend is None:
        loaded = load_models(objects, models=models, units=units)
        return declare_symmetries(loaded, split_names(tuple(symmetry)))
    if units is not None:
        raise SettingError(
            f"`units` is {units}, and {models} has a unit of its own: set it in Blender (Scene "
            "Properties, Units) and leave `units` out"
        )
    if not blend.path.is_file():
        raise SettingError(f"`models` is {models}, which is not there: give a saved .blend file")
    return declare_symmetries(load_blend_models(blend), split_names(tuple(symmetry)))


def source_renderer(
    loaded: list[CadModel],
    objects: tuple[str, ...],
    models: Path | None,
    lit_by: LitBy = "plan",
) -> Renderer:
    """What renders crops to learn from: objects of a .blend file with their materials there."""
    blend = blend_file(objects, models, lit_by)
    return make_renderer(
        "blender" if blend else "raster", loaded, threads=available_cores(), blend=blend,
        levels=False,
    )  # fmt: skip
