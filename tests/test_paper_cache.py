"""Crops that are kept on disk: never partial, never damaged, shared."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adapter import LabelledCrops, read_checkpoint, train
from render_adapt import DatasetError
from render_adapt._paper.scenarios.cache import cached_crops
from render_adapt._paper.scenarios.data_files import sha256_of_code, sha256_of_files
from render_adapt._paper.scenarios.subsets import take
from tests.pixelda_toy import TOY, toy_source, toy_target

RECIPE = {"squares": 96, "seed": 1}


class Maker:
    """Makes the toy crops in three parts, and counts how often it is asked to."""

    def __init__(self) -> None:
        symmetries = np.zeros((2, 3, 4), np.float32)
        symmetries[..., 0] = 1
        toy = toy_source()
        self.crops = replace(toy, images=toy.images.astype(np.float16), symmetries=symmetries)
        self.calls = 0

    def __call__(self) -> Iterator[LabelledCrops]:
        self.calls += 1
        for first in (0, 40, 80):
            yield take(self.crops, np.arange(first, min(first + 40, 96)))


def assert_equal(found: LabelledCrops, expected: LabelledCrops) -> None:
    for name in ("images", "masks", "class_index", "quaternion", "symmetries"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
        assert getattr(found, name).dtype == getattr(expected, name).dtype
    assert found.class_names == expected.class_names


def test_crops_are_made_once_and_mapped(tmp_path: Path) -> None:
    make = Maker()
    for _ in range(2):
        found = cached_crops(tmp_path, "toy", RECIPE, 96, make)
        assert_equal(found, make.crops)
        assert isinstance(found.images, np.memmap)
    assert make.calls == 1


def test_another_recipe_is_another_entry(tmp_path: Path) -> None:
    make = Maker()
    cached_crops(tmp_path, "toy", RECIPE, 96, make)
    cached_crops(tmp_path, "toy", RECIPE | {"seed": 2}, 96, make)
    assert make.calls == 2
    cached_crops(tmp_path, "toy", RECIPE, 96, make)
    assert make.calls == 2


def test_fewer_crops_of_a_recipe_are_another_entry(tmp_path: Path) -> None:
    make = Maker()
    cached_crops(tmp_path, "toy", RECIPE, 96, make)
    few = take(make.crops, np.arange(10))
    assert_equal(cached_crops(tmp_path, "toy", RECIPE, 10, lambda: [few]), few)


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / "images.npy").read_bytes())
    content[-1] ^= 1
    (folder / "images.npy").write_bytes(content)


def shorten(folder: Path) -> None:
    content = (folder / "masks.npy").read_bytes()
    (folder / "masks.npy").write_bytes(content[:-1])


def lose_a_file(folder: Path) -> None:
    (folder / "quaternion.npy").unlink()


def lose_the_contents(folder: Path) -> None:
    (folder / "contents.json").unlink()


def break_the_contents(folder: Path) -> None:
    (folder / "contents.json").write_text("{")


@pytest.mark.parametrize(
    "damage", [flip_a_bit, shorten, lose_a_file, lose_the_contents, break_the_contents]
)
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    make = Maker()
    cached_crops(tmp_path, "toy", RECIPE, 96, make)
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    damage(folder)
    assert_equal(cached_crops(tmp_path, "toy", RECIPE, 96, make), make.crops)
    assert make.calls == 2


def test_an_interrupted_making_leaves_nothing_that_is_used(tmp_path: Path) -> None:
    make = Maker()

    def interrupted() -> Iterator[LabelledCrops]:
        yield next(make())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_crops(tmp_path, "toy", RECIPE, 96, interrupted)
    assert_equal(cached_crops(tmp_path, "toy", RECIPE, 96, make), make.crops)
    assert not list(tmp_path.glob("*.partial"))


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="choose another folder for the cache"):
        cached_crops(tmp_path / "file" / "cache", "toy", RECIPE, 96, Maker())


def test_training_on_mapped_crops_gives_the_same_parameters(tmp_path: Path) -> None:
    make = Maker()
    mapped = cached_crops(tmp_path / "cache", "toy", RECIPE, 96, make)
    config = replace(TOY, steps=2, precision="fp32")
    runs = [
        train(crops, toy_target(), config, tmp_path / name)
        for name, crops in (("mapped", mapped), ("held", make.crops))
    ]
    (first, described), (second, also) = map(read_checkpoint, runs)
    assert described == also
    assert first.keys() == second.keys()
    assert all((first[name] == second[name]).all() for name in first)


def test_hash_of_files_knows_names_contents_and_where_one_ends(tmp_path: Path) -> None:
    def hash_of(**contents: str) -> str:
        for name, content in contents.items():
            (tmp_path / name).write_text(content)
        return sha256_of_files([tmp_path / name for name in contents])

    first = hash_of(a="12", b="3")
    assert first == hash_of(a="12", b="3")
    assert len({first, hash_of(a="1", b="23"), hash_of(c="12", d="3"), hash_of(a="12", b="4")}) == 4


def test_hash_of_code_knows_every_room_of_a_package_and_a_functions_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "house_of_code/__init__.py": "",
        "house_of_code/_room/__init__.py": "",
        "house_of_code/_room/cupboard/__init__.py": "",
        "house_of_code/_room/cupboard/drawer.py": "",
        "code_beside.py": "def work(): ...",
        "code_that_is_not_asked_for.py": "",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    house = importlib.import_module("house_of_code")
    work = importlib.import_module("code_beside").work
    known = {sha256_of_code(house, work)}
    for name in files:
        (tmp_path / name).write_text(f"{files[name]}  # {name}")
        known.add(sha256_of_code(house, work))
    assert len(known) == len(files)  # one at first, and a new one for each file but the last
    assert sha256_of_code(house) != sha256_of_code(work)
