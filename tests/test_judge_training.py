"""What the judge learns from: that true labels are true, and false ones as false as they say."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from adapter import OtherTraining  # noqa: E402
from cad_models import load_models  # noqa: E402
from render_adapt._fidelity.training.batches import (  # noqa: E402
    JudgeBatch,
    draw_batch,
    turned_about,
)
from render_adapt._fidelity.training.harden import harden  # noqa: E402
from render_adapt._fidelity.training.network import JudgeNetwork, export_judge  # noqa: E402
from render_adapt._fidelity.training.pairs import Pairs, make_pairs, random_shapes  # noqa: E402
from render_adapt._fidelity.training.train import train_judge  # noqa: E402


@functools.cache
def pairs() -> Pairs:
    models = [*load_models(["lamp", "cup"]), *random_shapes(2, 0)]
    return make_pairs(models, 64, 3)


def test_pairs_are_the_same_for_the_same_seed() -> None:
    models = [*load_models(["lamp", "cup"]), *random_shapes(2, 0)]
    again = make_pairs(models, 64, 3)
    for name, value in vars(pairs()).items():
        np.testing.assert_array_equal(getattr(again, name), value)


def test_a_true_label_covers_what_the_picture_shows() -> None:
    known = pairs()
    shown = ~known.erased
    label = known.true_label[:, 3] > 0
    overlap = (label & known.inside).sum(axis=(1, 2)) / known.inside.sum(axis=(1, 2)).clip(1)
    # A board may hide a little of the target in the picture, never the other way round.
    assert (overlap[shown] == 1).all()
    assert (known.inside.sum(axis=(1, 2))[known.erased] < 40).all()
    assert 0 < known.erased.mean() < 0.2


def test_a_false_label_is_another_view_or_another_object() -> None:
    known = pairs()
    angle = np.linalg.norm(known.turn, axis=1)
    told = angle > 0
    assert ((angle[told] > 2.9) & (angle[told] < 90.1)).all()
    differs = (known.true_label != known.false_label).any(axis=(1, 2, 3))
    assert differs[known.swapped & ~known.erased].mean() > 0.95


def test_hardening_moves_nothing() -> None:
    known = pairs()
    rows = np.flatnonzero(~known.erased)
    spoilt = harden(known.picture[rows], known.inside[rows], np.random.default_rng(0))
    assert spoilt.shape == (len(rows), 3, 64, 64)
    assert spoilt.dtype == np.float32
    assert np.abs(spoilt).max() <= 1
    # The target's own pattern is still there, where it was: correlation within its mask.
    inside = known.inside[rows]
    before = np.moveaxis(known.picture[rows], -1, 1).astype(float)
    here = np.mean([_correlation(*crop) for crop in zip(before, spoilt, inside, strict=True)])
    rolled = np.roll(spoilt, 6, axis=3)
    there = np.mean([_correlation(*crop) for crop in zip(before, rolled, inside, strict=True)])
    assert here > 0.6
    assert there < 0.6 * here


def _correlation(first: np.ndarray, second: np.ndarray, where: np.ndarray) -> float:  # type: ignore[type-arg]
    a, b = first.mean(axis=0)[where], second.mean(axis=0)[where]
    return float(np.corrcoef(a + 1e-6 * np.arange(len(a)), b)[0, 1])


def test_a_batch_says_what_is_true() -> None:
    batch = draw_batch(pairs(), np.random.default_rng(1))
    true, same = batch.true.numpy() > 0, batch.same.numpy() > 0
    moved = np.linalg.norm(batch.shift.numpy(), axis=1) > 0
    assert 0.3 < true.mean() < 0.7
    assert same[true].all()
    assert not (moved & true).any()
    angle = np.linalg.norm(np.nan_to_num(batch.turn.numpy()), axis=1)
    assert (angle[true] == 0).all()


def dots(shift: tuple[int, int]) -> torch.Tensor:
    """A dot in the picture, and one in the label that it has moved away from."""
    planes = torch.zeros(1, 8, 64, 64)
    planes[0, 0, 30 + shift[1], 40 + shift[0]] = 1
    planes[0, 3, 30, 40] = 1
    return planes


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("mirror", [False, True])
def test_turning_a_batch_turns_what_is_said_of_it(quarters: int, mirror: bool) -> None:
    from renderer import rotation_about

    vector = np.array([0.3, -0.5, 0.2])
    batch = JudgeBatch(
        dots((7, 3)), torch.ones(1), torch.ones(1), torch.tensor([[7.0, 3.0]]),
        torch.from_numpy(vector[None]).float(),
    )  # fmt: skip
    turned = turned_about(batch, quarters, mirror)
    (_, _, rows, columns) = np.nonzero(turned.planes.numpy()[:, [0, 3]])
    found = np.array([columns[0] - columns[1], rows[0] - rows[1]])
    np.testing.assert_array_equal(turned.shift[0], found)
    # The image's axes after the turn: a rotation becomes M R M^-1.
    step = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    change = np.linalg.matrix_power(step, quarters)
    if mirror:
        change = np.diag([-1.0, 1, 1]) @ change
    new = turned.turn[0].numpy().astype(float)
    expected = change @ rotation_about(vector, np.linalg.norm(vector)) @ np.linalg.inv(change)
    np.testing.assert_allclose(rotation_about(new, np.linalg.norm(new)), expected, atol=1e-6)


def test_a_training_that_was_stopped_goes_on_as_if_it_was_not(tmp_path: Path) -> None:
    whole = train_judge(pairs(), 4, tmp_path / "whole", checkpoint_every=2)
    train_judge(pairs(), 4, tmp_path / "parts", checkpoint_every=2, stop_at=2)
    parts = train_judge(pairs(), 4, tmp_path / "parts", checkpoint_every=2)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, rtol=0, atol=0)


def test_a_training_on_other_pairs_or_steps_is_refused(tmp_path: Path) -> None:
    train_judge(pairs(), 2, tmp_path)
    other = replace(pairs(), turn=-pairs().turn)
    with pytest.raises(OtherTraining, match="other crops"):
        train_judge(other, 2, tmp_path)
    with pytest.raises(OtherTraining, match="`schedule_steps` 2 there, 4 now"):
        train_judge(pairs(), 4, tmp_path)


def test_a_checkpoint_that_says_nothing_of_its_run_is_continued(tmp_path: Path) -> None:
    """As the judge's were before they said what they are of."""
    whole = train_judge(pairs(), 4, tmp_path / "whole")
    train_judge(pairs(), 4, tmp_path / "parts", stop_at=2)
    checkpoint = tmp_path / "parts/checkpoint.safetensors"
    with safe_open(checkpoint, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, checkpoint, {"format": "render-adapt training 1", "step": "2"})
    parts = train_judge(pairs(), 4, tmp_path / "parts")
    for name, value in whole.state_dict().items():
        assert torch.equal(parts.state_dict()[name], value)


def test_the_exported_network_is_the_trained_one(tmp_path: Path) -> None:
    import onnxruntime

    torch.manual_seed(0)
    network = JudgeNetwork(8).eval()
    export_judge(network, tmp_path / "judge.onnx")
    session = onnxruntime.InferenceSession(
        str(tmp_path / "judge.onnx"), providers=["CPUExecutionProvider"]
    )
    planes = draw_batch(pairs(), np.random.default_rng(0)).planes[:5]
    (verdict,) = session.run(["verdict"], {"planes": planes.numpy()})
    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(verdict), network(planes), atol=1e-4, rtol=1e-4)
