"""Training on a GPU. What needs one is skipped where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adapter import (
    AdapterError,
    BaselineConfig,
    CoGanConfig,
    Progress,
    TrainConfig,
    Training,
    TrainingDiverged,
    draw_noise,
    load_adapter,
    read_checkpoint,
    save_adapter,
    train,
)
from adapter._batches import LabelledBatches
from adapter._training import device as device_module
from adapter._training.baselines import Baseline
from adapter._training.cogan import CoGan
from adapter._training.compilation import compiling
from adapter._training.crops import Crops
from adapter._training.device import ResidentBatches
from adapter._training.engine import take_step
from adapter._training.paired import PairedTraining
from adapter._training.pixelda import PixelDA
from checked_settings import SettingError
from tests import paired_toy
from tests.pixelda_toy import LEARNS, TOY, toy_source, toy_target

SOURCE, TARGET = toy_source(), toy_target()
CUDA = replace(TOY, device="cuda", steps=24, checkpoint_every=12)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
on_each_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])


@on_each_device
@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("fit", [True, False], ids=["resident", "too large"])
def test_resident_crops_give_the_batches_of_others(
    device: str, kind: type, fit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_module, "_fit_on", lambda *_: fit)
    symmetries = np.zeros((2, 3, 4), np.float32)
    symmetries[..., 0] = 1
    symmetries[1, 1] = [0, 0, 0, 1]
    weight = np.random.default_rng(0).random(len(SOURCE)).astype(np.float32)
    images = SOURCE.images.astype(kind)
    images.flags.writeable = False
    crops = replace(SOURCE, images=images, symmetries=symmetries, pose_weight=weight)
    expected = LabelledBatches(crops, 7, seed=3, stream=1, device="cpu")
    found = ResidentBatches(crops, 7, seed=3, stream=1, device=device)
    for draw in (0, 1, 40):
        for name, value in vars(expected.draw(draw)).items():
            batch = vars(found.draw(draw))
            assert batch[name].dtype == value.dtype
            assert torch.equal(batch[name].cpu(), value), name


def test_compiling_is_for_gpus() -> None:
    with pytest.raises(SettingError, match="`compile` is for GPUs: add `device` cuda"):
        TrainConfig(compile=True)
    assert TrainConfig(compile=True, device="cuda").compile


def test_what_cannot_be_compiled_is_one_sentence() -> None:
    from torch._dynamo.exc import BackendCompilerFailed

    with (
        pytest.raises(AdapterError, match=r"\(.*no Triton.*\); train without `compile`"),
        compiling(True),
    ):
        raise BackendCompilerFailed(lambda: None, RuntimeError("no Triton\nat line 5"), None)


@needs_cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_trains_resumes_saves_and_loads(precision: str, tmp_path: Path) -> None:
    config = replace(CUDA, precision=precision)  # type: ignore[arg-type]
    train(SOURCE, TARGET, replace(config, steps=13), tmp_path / "run")
    seen: list[Progress] = []
    checkpoint = train(SOURCE, TARGET, config, tmp_path / "run", on_progress=seen.append)
    # Every tenth step, checkpoints and the last.
    assert [progress.step for progress in seen] == [20, 24]
    assert all(np.isfinite(list(progress.losses.values())).all() for progress in seen)
    save_adapter(checkpoint, tmp_path / "adapter", preset="toy", provenance="toy squares")
    adapter = load_adapter(tmp_path / "adapter")
    adapted = adapter.adapt(SOURCE.images, draw_noise(0, np.arange(len(SOURCE))))
    assert adapted.shape == SOURCE.images.shape
    assert np.isfinite(adapted).all()


@needs_cuda
def test_the_first_step_is_the_processors(tmp_path: Path) -> None:
    """Without the randomness that each device draws on its own, the losses are the same."""
    quiet = replace(
        TOY, steps=1, discriminator_keep=1.0, discriminator_noise=0.0, task="digits", batch=16
    )
    losses = {}
    for device in ("cpu", "cuda"):
        seen: list[Progress] = []
        config = replace(quiet, device=device)  # type: ignore[arg-type]
        train(SOURCE, TARGET, config, tmp_path / device, on_progress=seen.append)
        losses[device] = seen[0].losses
    # Convolutions in TF32 have 10 bits of mantissa.
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=5e-3, abs=1e-4)


@needs_cuda
def test_a_processors_run_goes_on_on_the_gpu_and_back(tmp_path: Path) -> None:
    for device, steps in (("cpu", 4), ("cuda", 8), ("cpu", 12)):
        config = replace(TOY, steps=steps, device=device)  # type: ignore[arg-type]
        checkpoint = train(SOURCE, TARGET, config, tmp_path)
        assert read_checkpoint(checkpoint)[1]["step"] == str(steps)


@needs_cuda
def test_the_toy_shift_is_learnt_as_on_the_processor(tmp_path: Path) -> None:
    config = replace(LEARNS, device="cuda", precision="bf16")
    checkpoint = train(SOURCE, TARGET, config, tmp_path / "run")
    save_adapter(checkpoint, tmp_path / "adapter", preset="toy", provenance="toy squares")
    noise = draw_noise(0, np.arange(len(SOURCE)))
    adapted = load_adapter(tmp_path / "adapter").adapt(SOURCE.images, noise)
    background = adapted.transpose(0, 2, 3, 1)[~SOURCE.masks]
    room = TARGET.transpose(0, 2, 3, 1)[: len(TARGET)][~SOURCE.masks[: len(TARGET)]]
    assert np.abs(background.mean(axis=0) - room.mean(axis=0)).max() < 0.25


@needs_cuda
@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_compiled_networks_train(norm: str, tmp_path: Path) -> None:
    config = replace(
        CUDA,
        compile=True,
        precision="bf16",
        discriminator_norm=norm,  # type: ignore[arg-type]
        gradient_penalty=1.0,
        gradient_penalty_every=2,
        diversity_weight=0.1,
    )
    checkpoint = train(SOURCE, TARGET, config, tmp_path / "run")
    tensors, _ = read_checkpoint(checkpoint)
    assert all(torch.isfinite(value.float()).all() for value in tensors.values())
    # Without compilation the same run goes on: it is no other one.
    train(SOURCE, TARGET, replace(config, compile=False, steps=26), tmp_path / "run")


@needs_cuda
def test_a_run_that_diverges_stops_before_it_is_saved(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match=r"diverged at step 10: .*none was saved"):
        train(SOURCE, TARGET * np.float32(np.nan), replace(CUDA, steps=60), tmp_path)
    assert not (tmp_path / "checkpoint.safetensors").exists()


def baseline(**settings: object) -> Baseline:
    config = BaselineConfig(batch=8, device="cuda", threads=1)
    return Baseline(Crops(SOURCE, TARGET), replace(config, **settings))  # type: ignore[arg-type]


def cogan() -> CoGan:
    config = CoGanConfig(
        batch=4, noise_dimension=8, generator_width=1 / 64, discriminator_width=0.1, device="cuda"
    )
    return CoGan(Crops(SOURCE, TARGET), config)


@needs_cuda
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            lambda: PixelDA(Crops(SOURCE, TARGET), replace(CUDA, diversity_weight=0.1)),
            id="pixelda",
        ),
        pytest.param(lambda: baseline(system="supervised"), id="supervised"),
        pytest.param(lambda: baseline(system="mmd", bandwidths="paper"), id="mmd"),
        pytest.param(lambda: baseline(system="mmd", bandwidths="median"), id="mmd, median"),
        pytest.param(lambda: baseline(system="dann", optimizer="adam", ema=0.9), id="dann"),
        pytest.param(lambda: baseline(system="dsn"), id="dsn"),
        pytest.param(cogan, id="cogan"),
        pytest.param(
            lambda: PairedTraining(
                paired_toy.toy_source(12),
                paired_toy.toy_pairs(10),
                replace(paired_toy.TOY, device="cuda"),
            ),
            id="pairs",
        ),
    ],
)
def test_a_step_waits_for_the_gpu_only_where_losses_are_read(make: Callable[[], Training]) -> None:
    """CUDA's own check for calls that wait finds none in a step."""
    trained = make()
    for step in range(3):
        take_step(trained, step)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(3, 6):
            take_step(trained, step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
