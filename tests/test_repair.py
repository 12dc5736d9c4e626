"""What a dataset's hashes vouch for: nothing is made, read or kept that they do not."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from adapter import SHIPPED_ADAPTER
from cad_models import ModelError
from render_adapt import (
    DatasetError,
    RunConfig,
    SettingError,
    generate,
    load,
    make_only,
    repair,
    verify,
    write_report,
)
from render_adapt._runs.run_folder import RunFolder, sweep_held
from render_adapt._runs.shard_entry import present_shards
from tests.command import run_command
from tests.test_dataset import tree_hash
from tests.test_verify import CLUTTER, check, made, sha256, sign_again

BOX = (60, 40, 30)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of four crops."""
    folder = tmp_path_factory.mktemp("sound") / "dataset"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("render_adapt._config.SHARD_SIZE", 4)
        return made(folder, n=10, format=("bop", "bop-webdataset"))


@pytest.fixture
def dataset(sound: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(sound, tmp_path / "dataset"))


@pytest.fixture
def in_fours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("render_adapt._config.SHARD_SIZE", 4)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def set_seed(manifest: dict[str, Any]) -> None:
    manifest["seed"] = manifest["settings"]["seed"] = 4


def run_in(folder: Path) -> RunConfig:
    """The run that a folder's manifest tells of."""
    settings = json.loads((folder / "manifest.json").read_text())["settings"]
    return RunConfig(
        objects=tuple(settings["objects"]), n=10, seed=settings["seed"], workers=1, adapter="none",
        randomize=CLUTTER, format=("bop", "bop-webdataset"), out=folder,
    )  # fmt: skip


def again(folder: Path, **changes: Any) -> Any:
    return generate(dataclasses.replace(run_in(folder), **changes))


@pytest.mark.parametrize("listed", [True, False], ids=["finished", "without its list"])
def test_nothing_is_made_by_a_manifest_that_was_changed(
    listed: bool, dataset: Path, in_fours: None
) -> None:
    edit(dataset, set_seed)
    (dataset / "train/000001/rgb/000002.png").unlink()
    if not listed:
        (dataset / "dataset.sha256").unlink()
    before, found = tree_hash(dataset), check(dataset)
    assert found.bad[0].path.name == ("manifest.json" if listed else "dataset.sha256")
    config = run_in(dataset)
    for make in (
        lambda: repair(found, workers=1), lambda: again(dataset), lambda: make_only(config, 3),
    ):  # fmt: skip
        with pytest.raises(DatasetError, match=r"manifest\.json is not the file that was written"):
            make()
    (dataset / "INCOMPLETE").unlink()
    assert tree_hash(dataset) == before


def test_a_shard_of_another_run_is_found_though_all_hashes_fit(
    dataset: Path, tmp_path: Path, in_fours: None
) -> None:
    other = made(tmp_path / "other", n=10, seed=4, format=("bop", "bop-webdataset"))
    for name in (
        "train/000001", "index/000001.parquet", "train_web/shard-000001.tar",
        "shards/000001.json", "shards/000001.sha256",
    ):  # fmt: skip
        if (dataset / name).is_dir():
            shutil.rmtree(dataset / name)
            shutil.copytree(other / name, dataset / name)
        else:
            shutil.copy(other / name, dataset / name)
    sign_again(dataset)
    (bad,) = check(dataset).bad
    assert bad.path.name == "000001.parquet"
    assert bad.problem == "is of another run: seed is not the manifest's"


def test_the_printed_hash_tells_one_dataset_from_another(
    sound: Path, dataset: Path, tmp_path: Path
) -> None:
    root = sha256(sound / "dataset.sha256")
    assert verify(sound, sha256=root, workers=1).bad == ()
    (dataset / "train/000001/rgb/000002.png").unlink()
    found = verify(dataset, sha256="0" * 64, workers=1)
    assert found.sha256 == root
    assert f"is of another dataset: its SHA-256 is {root}, and not 000" in found.bad[0].problem
    with pytest.raises(DatasetError, match="this is another dataset, or its list was changed"):
        repair(found, workers=1)


def test_an_empty_list_vouches_for_nothing(dataset: Path) -> None:
    (dataset / "dataset.sha256").write_text("")
    (bad,) = check(dataset).bad
    assert (bad.path.name, bad.problem) == ("dataset.sha256", "does not list manifest.json")


PLANTED: dict[str, Callable[[Path], object]] = {
    "index/000003.parquet": lambda d: shutil.copy(
        d / "index/000000.parquet", d / "index/000003.parquet"
    ),
    "index/copy.parquet": lambda d: shutil.copy(
        d / "index/000000.parquet", d / "index/copy.parquet"
    ),
    "train/000003/scene_gt.json": lambda d: shutil.copytree(d / "train/000000", d / "train/000003"),
    "train/000001/rgb/000004.png": lambda d: shutil.copy(
        d / "train/000001/rgb/000000.png", d / "train/000001/rgb/000004.png"
    ),
    "train/000001/more/deep/file": lambda d: (
        (d / "train/000001/more/deep").mkdir(parents=True),
        (d / "train/000001/more/deep/file").write_text(""),
    ),
    "train_web/shard-000003.tar": lambda d: shutil.copy(
        d / "train_web/shard-000000.tar", d / "train_web/shard-000003.tar"
    ),
    "models/obj_000099.ply": lambda d: shutil.copy(
        d / "models/obj_000001.ply", d / "models/obj_000099.ply"
    ),
    "shards/000003.json": lambda d: shutil.copy(d / "shards/000000.json", d / "shards/000003.json"),
    "notes.txt": lambda d: (d / "notes.txt").write_text("mine"),
    "train/link": lambda d: (d / "train/link").symlink_to(d / "train/000000"),
    ".whole-000001/index/000001.parquet": lambda d: (
        (d / ".whole-000001/index").mkdir(parents=True),
        shutil.copy(d / "index/000000.parquet", d / ".whole-000001/index/000001.parquet"),
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_files_that_nobody_listed_are_named_and_not_read(
    name: str, sound: Path, dataset: Path, in_fours: None
) -> None:
    PLANTED[name](dataset)
    bad = check(dataset).bad
    assert f"{dataset / name}" in [str(file.path) for file in bad]
    assert all(file.unlisted for file in bad)
    assert "is listed nowhere" in bad[0].problem
    wanted, there = load(sound).columns, load(dataset).columns
    assert len(load(dataset)) == 10
    for column, values in wanted.items():
        np.testing.assert_array_equal(there[column], values)
    pages = [write_report(folder).read_text() for folder in (sound, dataset)]
    (sound / "report.html").unlink()
    assert pages[0] == pages[1].replace(str(dataset), str(sound))
    if name.startswith("train/000001"):
        with pytest.raises(DatasetError, match=r"is listed nowhere.* move it out of the folder"):
            repair(check(dataset), workers=1)
    again(dataset)
    # Not blessed: the list is what it was.
    assert sha256(dataset / "dataset.sha256") == sha256(sound / "dataset.sha256")
    assert bool(check(dataset).bad) is not name.startswith(".whole")


@pytest.mark.parametrize("name", ["train/000001/mask", "other"])
def test_a_folder_that_cannot_be_read_is_named(
    name: str, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (dataset / name).mkdir(exist_ok=True)
    listdir = os.listdir

    def refuse(path: Path) -> list[str]:
        if path == dataset / name:
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    # A test that is run by root may read everything.
    monkeypatch.setattr("render_adapt._verify.shards.os.listdir", refuse)
    (bad,) = check(dataset).bad
    assert (bad.path, bad.problem) == (dataset / name, "cannot be read: Permission denied")


def test_shards_are_known_by_their_whole_names(tmp_path: Path) -> None:
    """From the millionth on, by seven digits."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("000000", "000007", "1000007", "0000001", "00001", "000008", "x000001", "-00001"):
        (folder / f"{name}.parquet").touch()
    assert present_shards(folder, ".parquet", range(8)) == [0, 7]
    assert present_shards(folder, ".parquet", range(2_000_000)) == [0, 7, 8, 1_000_007]


def test_an_index_that_leads_to_files_of_no_shard_is_refused(dataset: Path) -> None:
    shutil.copytree(dataset / "train/000000", dataset / "train/000003")
    (dataset / "index/000002.parquet").unlink()
    with pytest.raises(DatasetError, match="has no index of shard 2: render-adapt verify"):
        load(dataset)
    shutil.copy(dataset / "index/000000.parquet", dataset / "index/000002.parquet")
    with pytest.raises(DatasetError, match="that of shard 2 has crops of another"):
        load(dataset)


LOSSES: dict[str, Callable[[Path], object]] = {
    "a scene": lambda d: shutil.rmtree(d / "train/000001"),
    "a picture": lambda d: (d / "train/000001/rgb/000003.png").unlink(),
    "half a picture": lambda d: cut(d / "train/000001/depth/000000.png"),
    "a tar file": lambda d: (d / "train_web/shard-000001.tar").unlink(),
    "half a tar file": lambda d: cut(d / "train_web/shard-000001.tar"),
    "an index": lambda d: (d / "index/000001.parquet").unlink(),
    "a list": lambda d: (d / "shards/000001.sha256").unlink(),
    "half a list": lambda d: cut(d / "shards/000001.sha256"),
    "an entry": lambda d: (d / "shards/000001.json").unlink(),
    "half an entry": lambda d: cut(d / "shards/000001.json"),
    "all of it": lambda d: [
        LOSSES[part](d) for part in ("a scene", "a tar file", "an index", "a list", "an entry")
    ],
}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("loss", LOSSES)
def test_what_was_deleted_by_hand_is_made_again(loss: str, dataset: Path, in_fours: None) -> None:
    before = tree_hash(dataset)
    LOSSES[loss](dataset)
    summary = again(dataset)
    assert summary.crops_made == 4
    assert summary.crops == 10
    assert any("of 1 shard that had been finished something was gone" in n for n in summary.notes)
    assert tree_hash(dataset) == before
    assert again(dataset).crops_made == 0


def test_a_shard_that_changes_before_it_is_committed_does_not_count(
    tmp_path: Path, in_fours: None
) -> None:
    out = tmp_path / "d"
    for change in (Path.unlink, cut, lambda path: path.with_name("more.png").write_text("x")):

        def spoil(done: int, total: int, change: Callable[[Path], object] = change) -> None:
            for picture in out.glob(".shard-000002/train/000002/rgb/000001.png"):
                change(picture)

        config = RunConfig(objects=("ape",), n=10, adapter="none", workers=1, out=out)
        with pytest.raises(DatasetError, match="is not what was written a moment ago"):
            generate(config, spoil)
        assert sorted(path.name for path in (out / "train").iterdir()) == ["000000", "000001"]
    assert generate(config).crops_made == 2
    assert check(out).bad == ()


class Killed(BaseException):
    """In place of a kill that a test could not look behind."""


@pytest.mark.parametrize("moves", range(7))
def test_a_repair_that_is_killed_among_its_moves_ends_as_if_it_were_not(
    moves: int, dataset: Path, in_fours: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree_hash(dataset)
    picture = dataset / "train/000001/rgb/000002.png"
    picture.write_bytes(picture.read_bytes()[:-1] + b"!")
    listing = (dataset / "shards/000001.sha256").read_text()
    left = [moves]

    def replace(source: Path, target: Path, **folders: int) -> None:
        if str(source).count("000001"):
            if not left[0]:
                raise Killed
            left[0] -= 1
        os.rename(source, target, **folders)

    with monkeypatch.context() as patch:
        patch.setattr("render_adapt._runs.run_folder.os.replace", replace)
        patch.setattr(RunFolder, "close", lambda self: self._lock and self._lock.release())
        with pytest.raises(Killed):
            repair(check(dataset), workers=1)
    # The old shard is whole, or the new one is: in its place, or on its way there.
    places = (dataset, dataset / ".whole-000001")
    for line in listing.splitlines():
        name = line.split("  ")[1]
        aside = dataset / ".whole-000001/before" / name.replace("train/", "train-", 1)
        assert any((place / name).exists() for place in places) or aside.exists()
    repair(check(dataset), workers=1)
    assert check(dataset).bad == ()
    assert tree_hash(dataset) == before


def test_a_worker_that_dies_among_its_moves_leaves_its_shard_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)

    def commit() -> None:
        prepared = folder.begin_shard(3)
        (prepared.path / "index").mkdir()
        (prepared.path / "train/000003").mkdir(parents=True)
        prepared.write("index/000003.parquet", b"rows")
        prepared.write("train/000003/scene_gt.json", b"{}")
        folder.commit_shard(prepared, 3, 750, 1000)

    def die(source: Path, target: Path, **folders: int) -> None:
        if folders:
            os.rename(source, target, **folders)
        elif source.name == "000003" and source.parent.name == "train":
            raise Killed
        else:
            os.rename(source, target)

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr("render_adapt._runs.run_folder.os.replace", die)
            with pytest.raises(Killed):
                commit()
        commit()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "shards", "train"]
        assert (tmp_path / "train/000003/scene_gt.json").read_bytes() == b"{}"


def test_only_what_a_killed_run_left_is_taken_up(dataset: Path, in_fours: None) -> None:
    """Not what a stranger's dataset brings along, and never through a link."""
    before, mine = tree_hash(dataset), dataset.parent / "mine"
    mine.mkdir()
    (mine / "000001.parquet").write_text("not for moving")
    (dataset / ".whole-000001").mkdir()
    (dataset / ".whole-000001/index").symlink_to(mine)
    (dataset / "INCOMPLETE").write_text("")
    again(dataset)
    assert (mine / "000001.parquet").read_text() == "not for moving"
    assert tree_hash(dataset) == before


def test_what_a_killed_run_left_is_a_fault_of_finished_datasets_alone(
    dataset: Path, in_fours: None
) -> None:
    partial = dataset / "models/.obj_000001.ply.0123456789abcdef.partial"
    partial.write_bytes(b"half")
    assert [file.path for file in check(dataset).bad] == [partial]
    (dataset / "INCOMPLETE").write_text("")
    assert check(dataset).bad == ()
    again(dataset)
    assert not partial.exists()


def test_what_another_run_is_at_is_left_alone(tmp_path: Path) -> None:
    config = RunConfig(objects=("ape",), n=4, adapter="none", workers=1, out=tmp_path / "d")
    theirs = tmp_path / "d/.shard-000000"

    def look(done: int, total: int) -> None:
        if theirs.exists():
            sweep_held()
            assert not theirs.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(config, look)
    theirs.mkdir()
    sweep_held()
    assert theirs.exists()


def test_a_dataset_is_read_in_the_shards_that_it_was_made_in(dataset: Path) -> None:
    """Here they are of 4 crops, and now runs make them of 250."""
    assert check(dataset).bad == ()
    assert check(dataset).crops == 10
    assert len(load(dataset)) == 10
    (dataset / "index/000000.parquet").unlink()
    with pytest.raises(DatasetError, match=r"another run \(shard_size 4 there, 250 here"):
        repair(check(dataset), workers=1)


def test_a_manifest_from_before_it_had_the_size_of_shards_means_250(tmp_path: Path) -> None:
    dataset = made(tmp_path / "d", n=4)
    edit(dataset, lambda manifest: manifest.pop("shard_size"))
    sign_again(dataset)
    assert check(dataset).bad == ()
    before = tree_hash(dataset)
    assert again(dataset, n=4).crops_made == 0
    (dataset / "train/000000/rgb/000001.png").unlink()
    repair(check(dataset), workers=1)
    assert tree_hash(dataset) == before


def box_run(mesh: Path, out: Path, **changes: Any) -> RunConfig:
    settings = {"n": 4, "adapter": "none", "workers": 1, "seed": 2, **changes}
    return RunConfig(objects=("duck", f"part={mesh}"), out=out, **settings)


def test_the_same_run_from_another_folder_has_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest says nothing of where its maker keeps files."""
    hashes = []
    for name in ("here", "there/deep"):
        place = tmp_path / name
        place.mkdir(parents=True)
        trimesh.creation.box(BOX).export(place / "part.stl")
        shutil.copytree(SHIPPED_ADAPTER, place / "mine")
        generate(box_run(place / "part.stl", place / "d", adapter=str(place / "mine")))
        hashes.append(tree_hash(place / "d"))
        assert str(tmp_path) not in (place / "d/manifest.json").read_text()
    monkeypatch.chdir(tmp_path / "there")
    generate(box_run(Path("deep/part.stl"), tmp_path / "relative", adapter="deep/mine"))
    hashes.append(tree_hash(tmp_path / "relative"))
    assert len(set(hashes)) == 1


def test_repair_takes_the_datasets_own_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh = tmp_path / "meshes/part.stl"
    mesh.parent.mkdir()
    trimesh.creation.box(np.divide(BOX, 1000)).export(mesh)
    run = box_run(mesh, tmp_path / "d", units="m", randomize="linemod")
    generate(run)
    before = tree_hash(tmp_path / "d")
    picture = tmp_path / "d/train/000000/rgb/000003.png"
    sound = picture.read_bytes()
    # Moved, or another by now.
    for meddle in (lambda: trimesh.creation.box((70, 40, 30)).export(mesh), mesh.unlink):
        meddle()
        picture.unlink()
        repair(check(tmp_path / "d"), workers=1)
        assert tree_hash(tmp_path / "d") == before
    with pytest.raises(SystemExit) as ended:
        run_command("--out", tmp_path / "d", "--only", 3)
    assert not ended.value.code
    alone = tmp_path / "d-only-3"
    assert (alone / "train/000000/rgb/000000.png").read_bytes() == sound
    # Where they are damaged too, the files must be found again.
    (tmp_path / "d/models/obj_000101.ply").write_bytes(b"ply")
    found = check(tmp_path / "d")
    with pytest.raises(ModelError, match=r"part\.stl"):
        repair(found, workers=1)
    assert picture.read_bytes() == sound
    trimesh.creation.box(np.divide(BOX, 1000)).export(mesh)
    monkeypatch.chdir(mesh.parent)
    repair(found, workers=1)
    assert tree_hash(tmp_path / "d") == before


def test_repair_with_an_adapter_that_was_moved(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED_ADAPTER, tmp_path / "mine")
    dataset = made(tmp_path / "d", n=4, adapter=str(tmp_path / "mine"), format=("bop",))
    before = tree_hash(dataset)
    (tmp_path / "away").mkdir()
    (tmp_path / "mine").rename(tmp_path / "away/moved")
    (dataset / "train/000000/rgb/000003.png").unlink()
    found = check(dataset)
    with pytest.raises(SettingError, match=r"adapter, mine, is neither here nor .* `adapter`"):
        repair(found, workers=1)
    assert (dataset / "shards/000000.json").exists(), "what is there stays until more is there"
    repair(found, adapter=str(tmp_path / "away/moved"), workers=1)
    assert tree_hash(dataset) == before


def test_repair_with_models_that_were_moved(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[1] / "cad_models/builtin", tmp_path / "parts")
    dataset = made(tmp_path / "d", n=4, models=tmp_path / "parts", format=("bop",))
    before = tree_hash(dataset)
    (tmp_path / "away").mkdir()
    (tmp_path / "parts").rename(tmp_path / "away/moved")
    (dataset / "train/000000/rgb/000003.png").unlink()
    (dataset / "models/obj_000001.ply").write_bytes(b"ply")
    found = check(dataset)
    with pytest.raises(ModelError, match="parts"):
        repair(found, workers=1)
    repair(found, models=tmp_path / "away/moved", workers=1)
    assert tree_hash(dataset) == before
