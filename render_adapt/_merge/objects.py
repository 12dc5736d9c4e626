"""What the objects of several datasets are in one that has them all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cad_models import CadModel
from render_adapt._exceptions import DatasetError
from render_adapt._formats.carried_shard import CarriedObject, Numbering
from render_adapt._merge.source import Source


@dataclass(frozen=True)
class MergedObjects:
    """The objects of a merged dataset."""

    models: list[CadModel]
    """In their order, with the numbers and names that they have there."""
    described: dict[str, dict[str, Any]]
    """What its manifest says of them, by name."""
    numberings: list[Numbering]
    """What each source's objects are there."""
    notes: list[str]
    """Of each object with another number, or another name, a sentence."""


def merge_objects(sources: Sequence[Source]) -> MergedObjects:
    """Bring the objects of datasets together.

    Objects of two datasets are one where their files' hashes, their shapes and their symmetries are
    the same: it has the number and the name that it has in the first. An object whose number
    another has already gets the next one above all others.

    Raises:
        DatasetError: two different objects have one name.
        ModelError: models cannot be read.
    """
    known: list[_Known] = []
    next_id = 1 + max(entry["obj_id"] for source in sources for entry in source.objects.values())
    found: list[list[_Known]] = []
    for source in sources:
        described, of_source = source.described(), []
        for model in source.models():
            facts = source.objects[model.name]
            identity = json.dumps([facts["sha256"], described[model.name]], sort_keys=True)
            one = _same(identity, model, [one for one in known if one not in of_source])
            if one is None:
                _refuse_same_name(model, source, known)
                taken = any(one.model.object_id == model.object_id for one in known)
                number = next_id if taken else model.object_id
                next_id += taken
                own = replace(model, object_id=number)
                one = _Known(identity, own, {**facts, "obj_id": number}, len(known), source)
                known.append(one)
            of_source.append(one)
        found.append(of_source)
    pairs = list(zip(sources, found, strict=True))
    return MergedObjects(
        [one.model for one in known],
        {one.model.name: one.facts for one in known},
        [_numbering(source, of_source, known) for source, of_source in pairs],
        [note for source, of_source in pairs for note in _notes(source, of_source)],
    )


@dataclass(frozen=True, eq=False)
class _Known:
    """An object of the merged dataset."""

    identity: str
    """The same of the same objects."""
    model: CadModel
    facts: dict[str, Any]
    """What the manifest says of it."""
    place: int
    first: Source
    """The dataset that it is taken from."""

    @property
    def carried(self) -> CarriedObject:
        return CarriedObject(self.model.object_id, self.model.name, self.place)


def _same(identity: str, model: CadModel, known: Sequence[_Known]) -> _Known | None:
    """The object that a model is, by its own name where there are several."""
    same = [one for one in known if one.identity == identity]
    same.sort(key=lambda one: one.model.name != model.name)
    return same[0] if same else None


def _refuse_same_name(model: CadModel, source: Source, known: Sequence[_Known]) -> None:
    for one in known:
        if one.model.name == model.name:
            raise DatasetError(
                f"{one.first.folder} and {source.folder} have different objects by the name "
                f"{model.name}: make one of them anew with another name for its object"
            )


def _numbering(source: Source, found: Sequence[_Known], known: Sequence[_Known]) -> Numbering:
    carried = [one.carried for one in found]
    ids = [source.objects[name]["obj_id"] for name in source.names]
    return Numbering(
        dict(zip(ids, carried, strict=True)),
        dict(zip(source.names, carried, strict=True)),
        tuple(carried),
        tuple(one.carried for one in known),
    )


def _notes(source: Source, found: Sequence[_Known]) -> list[str]:
    notes = []
    for name, one in zip(source.names, found, strict=True):
        number = source.objects[name]["obj_id"]
        if one.model.object_id != number:
            taken = f"{number} is another's" if one.first is source else f"as in {one.first.folder}"
            notes.append(f"{name} of {source.folder} is object {one.model.object_id} here: {taken}")
        if one.model.name != name:
            notes.append(
                f"{name} of {source.folder} is called {one.model.name} here: they are one object"
            )
    return notes
