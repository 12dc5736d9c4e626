"""The models that a finished dataset has of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cad_models import CadModel, load_models
from checked_settings import RenderAdaptError
from render_adapt._exceptions import DatasetError
from render_adapt._files import hash_file
from render_adapt._run_models import blend_file
from render_adapt._runs.manifest import MANIFEST, listed_hashes
from renderer import ENGINES


def own_models(folder: Path, manifest: Mapping[str, Any]) -> list[CadModel] | None:
    """The objects of a finished run as its dataset has them, in the run's order.

    They are to the bit those that its crops show, wherever the files lie that they were read from.

    Returns:
        None where they cannot serve: its `models/` is not as it was written, or they may have been
        drawn with the materials of a .blend file, which only that has.

    Raises:
        DatasetError: the manifest makes no sense.
        ModelError: they cannot be read.
        RenderError: the engine that drew them cannot be used.
    """
    listed = {k: v for k, v in listed_hashes(folder).items() if k.startswith("models/")}
    try:
        facts = {name: manifest["objects"][name] for name in manifest["order"]}
        files = {f"models/obj_{entry['obj_id']:06d}.ply" for entry in facts.values()}
        models = manifest["settings"]["models"]
        with_materials = blend_file((), models and Path(models)) and _may_draw_materials(
            manifest["renderer"]
        )
        if with_materials or not files <= listed.keys() or not _are_as_listed(folder, listed):
            return None
        ids = [str(entry["obj_id"]) for entry in facts.values()]
        loaded = load_models(ids, models=folder / "models", units="mm")
        return [
            replace(model, name=name, origin=entry["origin"], sha256=entry["sha256"])
            for model, (name, entry) in zip(loaded, facts.items(), strict=True)
        ]
    except RenderAdaptError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{folder / MANIFEST} is damaged ({error}): take it from a copy"
        ) from None


def _may_draw_materials(renderer: str) -> bool:
    """Whether an engine, known here or not, may draw the materials of a .blend file."""
    engine = ENGINES.get(renderer)
    return engine is None or "blend" in engine.options


def _are_as_listed(folder: Path, hashes: Mapping[str, str]) -> bool:
    try:
        return all(hash_file(folder / name, folder) == sha256 for name, sha256 in hashes.items())
    except OSError:
        return False
