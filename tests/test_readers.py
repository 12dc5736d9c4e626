"""What is read back: the files' own content, from either format, each crop once."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
import struct
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.utils.data import DataLoader, default_collate

from checked_settings import MissingDependency
from render_adapt import (
    DatasetError,
    RunConfig,
    generate,
    load,
    torch_dataset,
    webdataset_pipeline,
)
from renderer import RANDOMIZATIONS

FORMATS = ("bop", "bop-webdataset")
CROPS = 23


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of several objects each, in six shards, the last one smaller."""
    out = tmp_path_factory.mktemp("readers") / "data{0..9}set"
    clutter = dataclasses.replace(
        RANDOMIZATIONS["linemod"], occluders=(0, 2), neighbours=(0, 1), lights=(1, 3)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("render_adapt._config.SHARD_SIZE", 4)
        generate(
            RunConfig(
                objects=("ape", "duck"), n=CROPS, seed=5, workers=1, adapter="none",
                randomize=clutter, format=FORMATS, out=out,
            )
        )  # fmt: skip
    return out


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    """One that may be damaged."""
    return shutil.copytree(dataset, tmp_path / "copy")


@pytest.mark.parametrize("format", FORMATS)
def test_crops_are_what_the_files_say(format: str, dataset: Path) -> None:
    """The files of scenes, read with nothing of our own, judge the readers of both formats."""
    crops = load(dataset, format)
    assert len(crops) == CROPS
    several = 0
    for number, crop in enumerate(crops):
        scene, image = dataset / f"train/{number // 4:06d}", number % 4
        assert (crop.scene_id, crop.im_id) == (number // 4, image)
        camera, gt, info = (
            json.loads((scene / f"scene_{name}.json").read_text())[str(image)]
            for name in ("camera", "gt", "gt_info")
        )
        rgb = cv2.imread(str(scene / f"rgb/{image:06d}.png"))[..., ::-1]
        np.testing.assert_array_equal(crop.rgb, rgb)
        steps = cv2.imread(str(scene / f"depth/{image:06d}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_allclose(crop.depth, steps * camera["depth_scale"], rtol=1e-6)
        np.testing.assert_array_equal(crop.camera_matrix.ravel(), camera["cam_K"])
        assert crop.mask.shape == (len(gt), *crop.depth.shape)
        for k, (pose, counts) in enumerate(zip(gt, info, strict=True)):
            assert crop.object_id[k] == pose["obj_id"]
            np.testing.assert_array_equal(crop.rotation[k].ravel(), pose["cam_R_m2c"])
            np.testing.assert_array_equal(crop.translation[k], pose["cam_t_m2c"])
            judge = Rotation.from_matrix(crop.rotation[k]).as_quat(
                canonical=True, scalar_first=True
            )
            np.testing.assert_allclose(crop.quaternion[k], judge, atol=1e-12)
            for name, value in counts.items():
                np.testing.assert_array_equal(getattr(crop, name)[k], value)
            for kind in ("mask", "mask_visib"):
                file = scene / kind / f"{image:06d}_{k:06d}.png"
                expected = cv2.imread(str(file), cv2.IMREAD_UNCHANGED) > 0
                np.testing.assert_array_equal(getattr(crop, kind)[k], expected)
        several += len(gt) > 1
    assert number == CROPS - 1
    assert several >= 5


def test_columns_are_the_index_in_the_order_of_the_crops(dataset: Path) -> None:
    crops = load(dataset)
    columns = crops.columns
    files = [dataset / f"index/{shard:06d}.parquet" for shard in range(6)]
    rows = [row for file in files for row in parquet.read_table(file).to_pylist()]
    for name, column in columns.items():
        assert len(column) == CROPS
        for value, row in zip(column, rows, strict=True):
            if row[name] is None and isinstance(value, float):
                assert np.isnan(value)  # an array has no other word for a number that is missing
            else:
                assert np.asarray(value).tolist() == row[name]
    assert columns["quaternion"].shape == (CROPS, 4)
    assert columns["bbox_visib"].shape == (CROPS, 4)
    assert {len(lights) for lights in columns["light_direction"]} == {3, 6, 9}
    assert columns["index"].tolist() == list(range(CROPS))
    for number, crop in enumerate(crops):
        np.testing.assert_allclose(columns["quaternion"][number], crop.quaternion[0], atol=1e-12)
        assert columns["im_id"][number] == crop.im_id


@pytest.mark.parametrize("format", FORMATS)
def test_whole_frames_are_read_too(format: str, tmp_path: Path) -> None:
    generate(
        RunConfig(
            objects=("ape", "duck"), n=2, workers=1, adapter="none", frames="96x64",
            objects_per_frame=3, format=FORMATS, out=tmp_path / "frames",
        )
    )  # fmt: skip
    for frame in load(tmp_path / "frames", format):
        assert frame.rgb.shape == (64, 96, 3)
        assert frame.mask_visib.shape == (len(frame.object_id), 64, 96)
        assert (frame.mask_visib.sum(axis=(1, 2)) == frame.px_count_visib).all()
        assert not (frame.mask_visib & ~frame.mask).any()


def test_crops_are_found_by_number_and_slice(dataset: Path) -> None:
    crops = load(str(dataset))
    assert [crop.scene_id * 4 + crop.im_id for crop in crops[3:12:4]] == [3, 7, 11]
    assert crops[-1].im_id == 2
    assert crops[-CROPS].im_id == 0
    for outside in (CROPS, -CROPS - 1):
        with pytest.raises(IndexError):
            crops[outside]


@pytest.mark.parametrize("format", FORMATS)
def test_an_open_dataset_may_go_to_other_processes(format: str, dataset: Path) -> None:
    crops = load(dataset, format)
    before = crops[9]
    after = pickle.loads(pickle.dumps(crops))[9]
    np.testing.assert_array_equal(before.mask, after.mask)


def test_what_is_no_finished_dataset_is_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no dataset of render-adapt"):
        load(tmp_path / "nothing")
    with pytest.raises(DatasetError, match="not written as coco, but as bop, bop-webdataset"):
        load(copy, "coco")
    (copy / "INCOMPLETE").write_text("")
    with pytest.raises(DatasetError, match="has not been finished"):
        load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *(
            ({"format": names}, "names no format that can be read")
            for names in (None, "bop", [], ["kitti"], ["bop", "kitti"], [["bop"]], ["bop", {}])
        ),
        ({"format": ["coco"]}, "was written as coco, which others read"),
        *(
            ({"shards": count}, "does not say how many shards there are")
            for count in (None, 0, -1, True, 6.0, "6", 7)
        ),
        ({"shards": 7, "n": CROPS + 4}, "has no index of shard 6: .* --repair makes it"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(
    change: dict[str, object], message: str, copy: Path
) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | change))
    with pytest.raises(DatasetError, match=message):
        load(copy)


def test_lists_of_a_shard_may_be_longer_than_those_of_another(copy: Path) -> None:
    """As the lights of crops that have one each in the one, and two in the other."""
    for shard in range(6):
        path = copy / f"index/{shard:06d}.parquet"
        table = parquet.read_table(path)
        place = table.column_names.index("light_direction")
        lists = [[float(shard)] * 3 * (1 + shard % 2)] * len(table)
        parquet.write_table(table.set_column(place, "light_direction", pyarrow.array(lists)), path)
    column = load(copy).columns["light_direction"]
    assert [list(lights) for lights in column] == [
        [float(number // 4)] * 3 * (1 + number // 4 % 2) for number in range(CROPS)
    ]


def claim_size(path: Path, width: int, height: int) -> None:
    """Say in a PNG file's header that it is of another size."""
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", width, height)
    path.write_bytes(content)


def damage_scene(scene: Path, what: str) -> None:
    """Damage image 1 of a scene."""
    lines = (scene / "scene_gt.json").read_text().splitlines()
    if what == "missing":
        (scene / "rgb/000001.png").unlink()
    elif what == "cut off":
        path = scene / "rgb/000001.png"
        path.write_bytes(path.read_bytes()[:60])
    elif what == "no PNG":
        (scene / "depth/000001.png").write_bytes(b"P6 64 64 255 " + bytes(64 * 64 * 3))
    elif what == "bomb":
        claim_size(scene / "mask/000001_000000.png", 2**31 - 1, 2**31 - 1)
    elif what == "8-bit depth":
        shutil.copy(scene / "mask/000001_000000.png", scene / "depth/000001.png")
    elif what == "other size":
        cv2.imwrite(str(scene / "mask/000001_000000.png"), np.zeros((32, 64), np.uint8))
    elif what == "no poses":
        lines[2] = '  "1": [],'
    elif what == "not JSON":
        lines[2] = '  "1": [{'
    elif what == "nested":
        lines[2] = '  "1": ' + "[" * 100_000 + "]" * 100_000 + ","
    elif what == "text":
        lines[2] = '  "1": [{"cam_R_m2c": "identity", "cam_t_m2c": [0, 0, 1], "obj_id": 1}],'
    elif what == "another's":
        lines[2] = lines[1]
    elif what == "too short":
        lines = lines[:1]
    (scene / "scene_gt.json").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "what",
    ["missing", "cut off", "no PNG", "bomb", "8-bit depth", "other size", "no poses", "not JSON",
     "nested", "text", "another's", "too short"],
)  # fmt: skip
def test_a_damaged_scene_is_named(what: str, copy: Path) -> None:
    damage_scene(copy / "train/000002", what)
    crops = load(copy, "bop")
    assert crops[0].im_id == 0
    with pytest.raises(DatasetError, match=r"image 1 of scene 2|000002"):
        crops[9]


@pytest.mark.parametrize("what", ["empty", "cut off", "other members", "no tar", "missing"])
def test_a_damaged_tar_file_is_named(what: str, copy: Path) -> None:
    path = copy / "train_web/shard-000002.tar"
    content = path.read_bytes()
    if what == "missing":
        path.unlink()
    else:
        path.write_bytes(
            {
                "empty": b"",
                "cut off": content[: len(content) // 3],
                "other members": content.replace(b"000002_", b"000003_"),
                "no tar": b"\x89PNG" + content,
            }[what]
        )
    crops = load(copy, "bop-webdataset")
    assert crops[0].im_id == 0
    with pytest.raises(DatasetError, match=r"image 3 of scene 2|shard-000002"):
        crops[11]


def test_a_damaged_index_is_refused(copy: Path) -> None:
    (copy / "index/000003.parquet").write_bytes(b"PAR1")
    with pytest.raises(DatasetError, match=r"index of .* is damaged"):
        load(copy)


def key(crop) -> int:
    return 4 * crop.scene_id + crop.im_id


def test_batches_of_tensors_for_torch(dataset: Path) -> None:
    crops = load(dataset)
    seen = []
    for batch in DataLoader(torch_dataset(dataset), batch_size=8, shuffle=True, num_workers=2):
        for row, number in enumerate((4 * batch["scene_id"] + batch["im_id"]).tolist()):
            crop = crops[number]
            np.testing.assert_array_equal(batch["rgb"][row].permute(1, 2, 0), crop.rgb)
            np.testing.assert_array_equal(batch["depth"][row, 0], crop.depth)
            np.testing.assert_array_equal(batch["mask"][row], crop.mask[0])
            np.testing.assert_array_equal(batch["mask_visib"][row], crop.mask_visib[0])
            for name in ("quaternion", "rotation", "translation", "bbox_obj", "object_id"):
                np.testing.assert_allclose(batch[name][row], getattr(crop, name)[0], rtol=1e-6)
            np.testing.assert_allclose(batch["camera_matrix"][row], crop.camera_matrix, rtol=1e-6)
            seen.append(number)
    assert sorted(seen) == list(range(CROPS))
    assert seen != sorted(seen)


def test_a_transform_makes_what_is_in_a_batch(dataset: Path) -> None:
    for made in (
        torch_dataset(dataset, transform=key),
        webdataset_pipeline(dataset, transform=key),
    ):
        assert list(iter(made))[:5] == [0, 1, 2, 3, 4]


class TestWebdataset:
    @pytest.fixture(autouse=True)
    def needs_it(self) -> None:
        pytest.importorskip("webdataset")

    def test_crops_come_in_order_where_nothing_is_shuffled(self, dataset: Path) -> None:
        assert list(webdataset_pipeline(dataset, transform=key)) == list(range(CROPS))

    @pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
    @pytest.mark.parametrize("shuffle", [0, 5])
    @pytest.mark.parametrize("workers", [0, 1, 2, 8])
    def test_every_crop_comes_once_whatever_the_number_of_workers(
        self, workers: int, shuffle: int, dataset: Path
    ) -> None:
        """Also where there are more workers than tar files."""
        pipeline = webdataset_pipeline(dataset, shuffle=shuffle, transform=key)
        loader = DataLoader(pipeline, batch_size=None, num_workers=workers)
        assert sorted(loader) == list(range(CROPS))

    @pytest.mark.parametrize("nodes", [2, 7])
    def test_every_crop_comes_once_on_all_nodes_together(
        self, nodes: int, dataset: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each node has its own seed, as nodes do that nobody gave one."""
        monkeypatch.setenv("WORLD_SIZE", str(nodes))
        seen = []
        for rank in range(nodes):
            monkeypatch.setenv("RANK", str(rank))
            torch.manual_seed(rank)
            pipeline = webdataset_pipeline(dataset, shuffle=5, transform=key)
            seen += DataLoader(pipeline, batch_size=None, num_workers=2)
        assert sorted(seen) == list(range(CROPS))

    @pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, False), (2, True)])
    def test_orders_differ_between_epochs_and_follow_from_torchs_seed(
        self, workers: int, persistent: bool, dataset: Path
    ) -> None:
        runs = []
        for seed in (3, 3, 4):
            torch.manual_seed(seed)
            pipeline = webdataset_pipeline(dataset, shuffle=6, transform=key)
            loader = DataLoader(
                pipeline, batch_size=None, num_workers=workers, persistent_workers=persistent
            )
            runs.append([list(loader) for _ in range(3)])
        assert runs[0] == runs[1] != runs[2]
        epochs = [tuple(epoch) for epoch in runs[0]]
        assert len(set(epochs)) == 3
        assert all(sorted(epoch) == list(range(CROPS)) for epoch in epochs)

    def test_workers_take_other_tar_files_in_each_epoch(self, dataset: Path) -> None:
        def scenes_of_first_worker() -> set[int]:
            loader = DataLoader(pipeline, batch_size=None, num_workers=2)
            return {number // 4 for number in list(loader)[::2][:8]}

        torch.manual_seed(0)
        pipeline = webdataset_pipeline(dataset, shuffle=6, transform=key)
        assert len({frozenset(scenes_of_first_worker()) for _ in range(4)}) > 1

    def test_it_may_be_batched(self, dataset: Path) -> None:
        pipeline = webdataset_pipeline(dataset).batched(10, collation_fn=default_collate)
        batches = list(DataLoader(pipeline, batch_size=None, num_workers=1))
        assert [len(batch["rgb"]) for batch in batches] == [10, 10, 3]
        assert batches[0]["rgb"].shape == (10, 3, 64, 64)
        assert batches[0]["quaternion"].shape == (10, 4)

    @pytest.mark.parametrize(
        ("old", "new"),
        [(b"PNG", b"PNC"), (b'"cam_K"', b'"cam_k"'), (b"counts", b"count5"), (b"ustar", b"ustbr")],
    )
    def test_a_damaged_stream_is_named(self, old: bytes, new: bytes, copy: Path) -> None:
        path = copy / "train_web/shard-000002.tar"
        path.write_bytes(path.read_bytes().replace(old, new))
        with pytest.raises(DatasetError, match=r"shard-000002.tar is damaged"):
            list(webdataset_pipeline(copy, transform=key))

    @pytest.mark.parametrize("stop", [0, 10_000])
    def test_a_tar_file_that_ends_too_soon_is_named(self, stop: int, copy: Path) -> None:
        path = copy / "train_web/shard-000002.tar"
        path.write_bytes(path.read_bytes()[:stop])
        with pytest.raises(DatasetError, match=r"shard-000002.tar is damaged"):
            list(webdataset_pipeline(copy, transform=key))

    @pytest.mark.parametrize("what", ["a folder", "a member of gigabytes"])
    def test_what_cannot_be_taken_is_named(self, what: str, copy: Path) -> None:
        path = copy / "train_web/shard-000002.tar"
        content = path.read_bytes()
        path.unlink()
        if what == "a folder":
            path.mkdir()
        else:
            member = tarfile.TarInfo("000002_000000.rgb.png")
            member.size = 2**33
            path.write_bytes(member.tobuf() + content)
        message = {
            "a folder": "cannot read .*shard-000002.tar: it is not a regular file",
            "a member of gigabytes": "shard-000002.tar is damaged: 000002_000000.rgb.png is too",
        }[what]
        with pytest.raises(DatasetError, match=message):
            list(webdataset_pipeline(copy, transform=key))

    def test_a_tar_file_of_zeros_is_named(self, copy: Path) -> None:
        """A well-formed archive of nothing, as a disk may leave it."""
        (copy / "train_web/shard-000002.tar").write_bytes(bytes(10_240))
        with pytest.raises(DatasetError, match=r"shard-000002.tar is damaged .it has no crops"):
            list(webdataset_pipeline(copy, transform=key))

    def test_a_dataset_without_tar_files_is_refused(self, copy: Path) -> None:
        manifest = json.loads((copy / "manifest.json").read_text())
        (copy / "manifest.json").write_text(json.dumps(manifest | {"format": ["bop"]}))
        with pytest.raises(DatasetError, match="not written as bop-webdataset"):
            webdataset_pipeline(copy)


@pytest.mark.parametrize(
    ("reader", "module", "advice"),
    [
        (torch_dataset, "torch", "pip install torch"),
        (webdataset_pipeline, "webdataset", "pip install webdataset torch"),
    ],
)
def test_a_library_that_is_not_there_is_named(
    reader, module: str, advice: str, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch_dataset", "webdataset_pipeline"):
        monkeypatch.delitem(sys.modules, f"render_adapt._readers.{name}", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependency, match=f"needs {module}; install with: {advice}$"):
        reader(dataset)
