"""`benchmarks.real_crops`: reads what `render-adapt` wrote, and goes on where it was stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from adapter import OtherTraining  # noqa: E402
from benchmarks.real_crops.__main__ import main  # noqa: E402
from benchmarks.real_crops.crops import (  # noqa: E402
    OBJECTS,
    LabelledCrops,
    held_out,
    joined,
    read_real,
    read_set,
    spread,
)
from benchmarks.real_crops.estimators import (  # noqa: E402
    RECIPES,
    Dense,
    Task,
    make_estimator,
)
from benchmarks.real_crops.labelled import write_labelled  # noqa: E402
from benchmarks.real_crops.training import EstimatorSettings, EstimatorTraining, train  # noqa: E402
from cad_models import CadModel, load_models  # noqa: E402
from render_adapt import DatasetError, RunConfig, generate, load  # noqa: E402
from renderer import angle_between, matrix_from_quaternion  # noqa: E402

pytestmark = pytest.mark.several_seconds

COUNT = 30


@pytest.fixture(scope="module")
def models() -> list[CadModel]:
    return load_models(OBJECTS)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Randomised crops that lie off their camera's axis."""
    folder = tmp_path_factory.mktemp("set") / "off_axis"
    generate(
        RunConfig(
            OBJECTS, n=COUNT, out=folder, adapter="none", randomize="strong", off_axis=10.0,
            format=("bop-webdataset",), workers=1,
        )
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def crops(dataset: Path, models: list[CadModel]) -> LabelledCrops:
    return read_set(dataset, models, 1000, 1)


def test_a_set_is_what_its_dataset_says(
    dataset: Path, crops: LabelledCrops, models: list[CadModel]
) -> None:
    written = load(dataset)
    assert len(crops) == len(written) == COUNT
    seen = 0
    for row, crop in enumerate(written):
        dense = crops.dense
        np.testing.assert_array_equal(dense.rgb[row], crop.rgb)
        model = models[dense.object_index[row]]
        assert model.object_id == crop.object_id[0]
        shown = crop.mask_visib[0].reshape(32, 2, 32, 2).any(axis=(1, 3))
        mask = dense.mask[row]
        assert not (mask & ~shown).any()
        if not mask.any():
            continue
        seen += int(mask.sum()) > 0.8 * int(shown.sum())
        # Object coordinates are of the points that the pose puts where they are seen.
        low, high = model.bounds
        points = low + dense.coordinates[row][mask] / 255.0 * (high - low)
        there = (points @ crop.rotation[0].T + crop.translation[0]) @ crop.camera_matrix.T
        pixels = there[:, :2] / there[:, 2:]
        expected = 2 * (np.argwhere(mask)[:, ::-1] + 0.5) - 0.5 + crop.pixel_centre
        assert np.abs(pixels - expected).max() < 0.5
    assert seen > 0.8 * COUNT


def test_poses_are_as_straight_cameras_see_them(dataset: Path, crops: LabelledCrops) -> None:
    columns = load(dataset).columns
    own = matrix_from_quaternion(np.stack(columns["quaternion"]))
    off = angle_between(crops.rotation, own)
    assert 3 < off.mean() < 9
    assert off.max() < 12


def test_sets_of_other_models_are_refused(dataset: Path, models: list[CadModel]) -> None:
    others = [replace(models[0], sha256="0" * 64), *models[1:]]
    with pytest.raises(DatasetError, match="shows ape"):
        read_set(dataset, others, 5, 1)


@given(st.integers(1, 300), st.integers(1, 300))
def test_frames_are_spread_evenly(all_of_them: int, count: int) -> None:
    numbers = [int(frame) for frame in spread(map(str, range(all_of_them)), count)]
    assert len(numbers) == min(count, all_of_them)
    gaps = np.diff([*numbers, all_of_them + numbers[0]])
    assert numbers[0] == 0
    assert set(gaps) <= {all_of_them // len(numbers), -(-all_of_them // len(numbers))}


@pytest.mark.parametrize("along_rays", [False, True])
def test_real_crops_as_a_set_have_their_labels(
    along_rays: bool, data_dir: Path, tmp_path: Path
) -> None:
    linemod = data_dir / "linemod"
    models = load_models(OBJECTS, models=linemod / "models")
    write_labelled(tmp_path / "set", linemod, models, 1, along_rays=along_rays, each=2)
    crops = read_set(tmp_path / "set", models, 100, 1)
    real = read_real(linemod, linemod / "crops/train", 2)
    np.testing.assert_array_equal(crops.dense.rgb, real.rgb)
    np.testing.assert_array_equal(crops.dense.object_index, real.object_index)
    assert crops.dense.mask.any(axis=(1, 2)).all()
    off = angle_between(crops.rotation, real.rotation)
    known = np.isfinite(real.straight[:, 0, 0])
    assert known.sum() == 4
    if along_rays:
        straight = angle_between(crops.rotation[known], real.straight[known])
        assert straight.max() < 0.1
        assert off[known].min() > 1
    else:
        assert off.max() < 0.1


def test_true_coordinates_give_the_poses_of_straight_cameras(
    crops: LabelledCrops, models: list[CadModel]
) -> None:
    """Crops that lie off the axis, at any distance, as a network without faults sees them."""
    dense = crops.dense
    coordinates = torch.zeros(COUNT, len(OBJECTS), 3, 32, 32)
    own = torch.from_numpy(dense.coordinates).permute(0, 3, 1, 2) / 255
    coordinates[torch.arange(COUNT), torch.from_numpy(dense.object_index)] = own
    classes = 9.0 * torch.eye(len(OBJECTS))[torch.from_numpy(dense.object_index)]
    mask = torch.where(torch.from_numpy(dense.mask), 9.0, -9.0)
    task = Task(models, torch.autocast("cpu", torch.bfloat16, enabled=False), "cpu", 1)
    estimator = make_estimator("dense", task)
    assert isinstance(estimator, Dense)
    network = estimator.network.eval()
    estimator.aligner.network = lambda x: replace(
        network(x), classes=classes, mask=mask, coordinates=coordinates
    )
    said = estimator.estimate(dense.rgb)
    np.testing.assert_array_equal(said.object_index, dense.object_index)
    seen = dense.mask.sum(axis=(1, 2)) > 60
    assert seen.sum() > 0.7 * COUNT
    assert said.found[seen].all()
    off = angle_between(said.rotation[seen], crops.rotation[seen])
    assert np.median(off) < 1.5
    assert off.max() < 8


def test_what_is_held_out_is_not_learnt_from(crops: LabelledCrops) -> None:
    learnt, others = held_out(crops)
    assert (len(learnt), len(others)) == (27, 3)
    pictures = {one.dense.rgb[row].tobytes() for one in (learnt, others) for row in range(len(one))}
    assert pictures == {picture.tobytes() for picture in crops.dense.rgb}
    assert len(joined([learnt, others])) == COUNT


class Stop(Exception):
    """A training that is killed."""


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_that_was_killed_goes_on_where_it_was(
    name: str, crops: LabelledCrops, models: list[CadModel], tmp_path: Path
) -> None:
    settings = EstimatorSettings(
        name, 4, 6, 1e-3, 0, checkpoint_every=1, threads=1, precision="fp32"
    )

    def run(folder: str, show: Any = None) -> EstimatorTraining:
        return train(*held_out(crops), models, settings, tmp_path / folder, show)

    def stop(step: int, steps: int) -> None:
        if step == 2:
            raise Stop

    whole = run("whole")
    with pytest.raises(Stop):
        run("parts", stop)
    parts = run("parts")
    assert whole.finished
    assert parts.finished
    assert whole.curve == parts.curve
    assert list(whole.curve) == [1, 2, 3, 4]
    expected, found = (one.estimator.network.state_dict() for one in (whole, parts))
    assert [key for key in expected if not torch.equal(expected[key], found[key])] == []
    with pytest.raises(OtherTraining):
        train(*held_out(crops), models, replace(settings, seed=1), tmp_path / "whole")


def test_pieces_leave_their_figures_and_are_done_once(
    data_dir: Path, dataset: Path, tmp_path: Path
) -> None:
    command = [
        "--data", str(data_dir), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "page"),
        "--crops", "12", "--real-crops", "2", "--steps", "3", "--seeds", "1", "--threads", "1",
        "--set", f"mine={tmp_path / 'work/sets/b'},e", "--precision", "fp32",
    ]  # fmt: skip
    only = ["--only", "dense:b:0", "resnet:e:0", "modern:mine:0"]
    # Out of time at once: what is made is kept, and nothing is said to be measured.
    main([*command, *only, "--max-minutes", "1e-9"])
    assert json.loads((tmp_path / "page.json").read_text())["pieces"] == {}
    main([*command, *only])
    written = json.loads((tmp_path / "page.json").read_text())
    assert sorted(written["pieces"]) == ["dense:b:0", "modern:mine:0", "resnet:e:0"]
    assert "dense:c:0" in written["missing"]
    pieces = written["pieces"]
    assert pieces["dense:b:0"]["training"]["crops"] == 11
    assert pieces["dense:b:0"]["real"]["test"]["all"]["crops"] == 10
    assert pieces["resnet:e:0"]["real"]["test"]["all"]["allocentric"]["crops"] == 4
    # Half of the set is of each dataset.
    assert pieces["modern:mine:0"]["training"]["crops"] == 11
    assert list(pieces["dense:b:0"]["held_out"]["curve"]) == ["1", "2", "3"]
    text = (tmp_path / "page.md").read_text()
    assert "| dense | b | 1 |" in text
    assert "dense:c:0" in text.partition("Not measured")[2]
    assert "## Real crops: test, 10 of them" in text
    before = (tmp_path / "work/pieces/dense-b-0/result.json").stat().st_mtime_ns
    main([*command, *only])
    assert (tmp_path / "work/pieces/dense-b-0/result.json").stat().st_mtime_ns == before
    # Other real crops to test on need no training; figures of other steps are not these.
    more = ["--only", "modern:mine:0", "--real", f"train={data_dir / 'linemod/crops/train'}"]
    main([*command, *more])
    (piece,) = json.loads((tmp_path / "page.json").read_text())["pieces"].values()
    assert piece["real"]["test"] == pieces["modern:mine:0"]["real"]["test"]
    assert piece["real"]["train"]["all"]["crops"] == 10
    main([*command, "--steps", "4", "--only", "none"])
    assert json.loads((tmp_path / "page.json").read_text())["pieces"] == {}


def test_arguments_that_are_no_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is not NAME=VALUE"):
        main(["--work", str(tmp_path), "--set", "build/aligned"])
