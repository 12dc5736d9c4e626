"""The coordinate network: what it learns from, that it learns, and that it goes on where it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from adapter import AdapterError  # noqa: E402
from cad_models import CadModel, load_models  # noqa: E402
from render_adapt import AlignConfig  # noqa: E402
from render_adapt._align.batches import Batches, MixedBatches, pictures  # noqa: E402
from render_adapt._align.network import CoordinateNetwork  # noqa: E402
from render_adapt._align.source import DenseCrops, Source  # noqa: E402
from render_adapt._align.training import train_further, train_network  # noqa: E402
from renderer import PlanConfig, read_randomization  # noqa: E402
from tests.painted import NAMES, write_painted  # noqa: E402

SIZE, COUNT, UNSEEN = 32, 256, 64


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("painted")
    models: list[CadModel] = load_models(write_painted(folder))
    randomization = read_randomization(str(folder / "even.toml"))
    return Source(models, PlanConfig(size=SIZE), randomization, 0, 1)


@pytest.fixture(scope="module")
def crops(source: Source) -> DenseCrops:
    return source.dense(COUNT)


def config(out: Path, **changes: int) -> AlignConfig:
    settings = AlignConfig(
        ("ape", "cat"), out.parent, out, size=SIZE, steps=6, batch=16, checkpoint_every=1,
        threads=1, precision="fp32",
    )  # fmt: skip
    return replace(settings, **changes)


def weights_of(network: CoordinateNetwork) -> dict[str, NDArray[np.float32]]:
    return {name: value.numpy() for name, value in network.state_dict().items()}


def test_labels_are_those_of_the_pose(source: Source, crops: DenseCrops) -> None:
    taken = source.render(0, COUNT)
    np.testing.assert_array_equal(crops.rgb, taken.rgb)
    np.testing.assert_array_equal(crops.object_index, taken.plans.object_index)
    plans, camera = taken.plans, taken.plans.camera_matrix
    for row, (mask, shares) in enumerate(zip(crops.mask, crops.coordinates, strict=True)):
        low, high = source.models[plans.object_index[row]].bounds
        points = low + shares[mask] / 255.0 * (high - low)
        there = (points @ plans.rotation[row].T + plans.translation[row]) @ camera[row].T
        pixels = 2 * (np.argwhere(mask)[:, ::-1] + 0.5)
        off = np.linalg.norm(there[:, :2] / there[:, 2:] - pixels, axis=1)
        # 255 steps of a coordinate are 0.3 mm each, and a pixel here 6 mm.
        assert off.max() < 0.15


def test_a_batch_is_a_function_of_its_number(crops: DenseCrops) -> None:
    one, other = (Batches(crops, 8, 0, "cpu") for _ in range(2))
    other.draw(0)
    first, labels = one.draw(5)
    second, same = other.draw(5)
    assert torch.equal(first, second)
    assert torch.equal(labels.coordinates, same.coordinates)
    assert not torch.equal(first, one.draw(6)[0])
    assert first.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.several_seconds
def test_it_learns_what_it_is_shown(source: Source, crops: DenseCrops, tmp_path: Path) -> None:
    network, steps = train_network(
        (crops,),
        NAMES,
        config(tmp_path / "out", steps=120, checkpoint_every=500),
        tmp_path / "work",
    )
    assert steps == 120
    unseen = source.render(COUNT, COUNT + UNSEEN)
    with torch.inference_mode():
        dense = network(pictures(unseen.rgb, "cpu"))
    assert (dense.classes.argmax(1).numpy() == unseen.plans.object_index).mean() > 0.9
    seen = unseen.mask.reshape(UNSEEN, SIZE // 2, 2, SIZE // 2, 2).all(axis=(2, 4))
    found = dense.mask.numpy() > 0
    assert (found & seen).sum() > 0.5 * (found | seen).sum()


def test_a_training_that_was_stopped_has_the_bits_of_an_unbroken_one(
    crops: DenseCrops, tmp_path: Path
) -> None:
    unbroken, _ = train_network((crops,), NAMES, config(tmp_path / "a"), tmp_path / "a")

    def stop(done: int, steps: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_network((crops,), NAMES, config(tmp_path / "b"), tmp_path / "b", stop)
    went_on, steps = train_network((crops,), NAMES, config(tmp_path / "b"), tmp_path / "b")
    assert steps == 6
    for name, value in weights_of(unbroken).items():
        np.testing.assert_array_equal(weights_of(went_on)[name], value)
    again, steps = train_network((crops,), NAMES, config(tmp_path / "b"), tmp_path / "b")
    assert steps == 6
    np.testing.assert_array_equal(
        weights_of(again)["out.weight"], weights_of(unbroken)["out.weight"]
    )


@pytest.mark.several_seconds
def test_a_network_is_trained_on_with_halves_of_two_sets(crops: DenseCrops, tmp_path: Path) -> None:
    some = DenseCrops(**{name: value[:8] for name, value in vars(crops).items()})
    x, labels = MixedBatches((crops, some), 6, 0, "cpu").draw(3)
    first, _ = Batches(crops, 3, 0, "cpu").draw(3)
    second, same = Batches(some, 3, 0, "cpu").draw(3)
    assert torch.equal(x, torch.cat([first, second]))
    assert torch.equal(labels.mask[3:], same.mask)
    settings = config(tmp_path / "out", round_steps=4)
    start, _ = train_network((crops,), NAMES, settings, settings.working)

    def trained(number: int, stop_at: int) -> dict[str, NDArray[np.float32]]:
        def stop(done: int, steps: int) -> None:
            assert steps == 4
            if done == stop_at:
                raise KeyboardInterrupt

        network, steps = train_further(start, (crops,), some, NAMES, settings, number, stop)
        assert steps == 4
        return weights_of(network)

    with pytest.raises(KeyboardInterrupt):
        trained(1, 2)
    with pytest.raises(KeyboardInterrupt):
        trained(1, 3)
    after = trained(1, 0)
    # From where it was, by no more than AdamW moves in four steps, and each round its own way.
    off = np.abs(after["out.weight"] - weights_of(start)["out.weight"])
    assert 0 < off.max() < 5 * 1e-3
    assert (trained(2, 0)["out.weight"] != after["out.weight"]).any()
    unbroken = replace(settings, out=tmp_path / "other")
    network, _ = train_further(start, (crops,), some, NAMES, unbroken, 1)
    for name, value in weights_of(network).items():
        np.testing.assert_array_equal(after[name], value)


def test_another_training_is_not_continued(crops: DenseCrops, tmp_path: Path) -> None:
    train_network((crops,), NAMES, config(tmp_path / "out"), tmp_path)
    for changes, difference in (({"seed": 1}, "seed"), ({"steps": 7}, "steps")):
        with pytest.raises(AdapterError, match=difference):
            train_network((crops,), NAMES, config(tmp_path / "out", **changes), tmp_path)
    other = replace(crops, rgb=255 - crops.rgb)
    with pytest.raises(AdapterError, match="other"):
        train_network((other,), NAMES, config(tmp_path / "out"), tmp_path)
