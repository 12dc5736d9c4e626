"""A training's checkpoint at work, before it is an adapter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adapter import (
    AdapterError,
    BaselineConfig,
    checkpoint_step,
    draw_noise,
    load_adapter,
    load_generator,
    save_adapter,
    train,
    train_baseline,
)
from tests.pixelda_toy import TOY, toy_source, toy_target

SOURCE, TARGET = toy_source(), toy_target()


def test_a_checkpoint_adapts_as_the_adapter_that_is_made_of_it(tmp_path: Path) -> None:
    checkpoint = train(SOURCE, TARGET, replace(TOY, precision="fp32"), tmp_path / "training")
    info = save_adapter(checkpoint, tmp_path / "adapter", preset="toy", provenance="toy squares")
    generator, adapter = load_generator(checkpoint), load_adapter(tmp_path / "adapter")
    assert generator.noise_dimension == info.noise_dimension
    assert checkpoint_step(checkpoint) == info.steps == TOY.steps
    noise = draw_noise(0, np.arange(len(SOURCE)), info.noise_dimension)
    adapted = generator.adapt(SOURCE.images, noise)
    np.testing.assert_allclose(adapted, adapter.adapt(SOURCE.images, noise), atol=1e-4)
    assert np.abs(adapted - generator.adapt(SOURCE.images, -noise)).max() > 1e-3


def test_a_checkpoint_without_a_generator_is_refused(tmp_path: Path) -> None:
    config = BaselineConfig(steps=1, batch=8)
    checkpoint = train_baseline(SOURCE, TARGET, config, tmp_path)
    with pytest.raises(AdapterError, match="holds no generator of PixelDA's"):
        load_generator(checkpoint)
    assert checkpoint_step(checkpoint) == 1
