"""Settings: the paper's values, and refusals that name the setting."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from adapter import PRESETS, AdapterError, LabelledCrops, TrainConfig
from checked_settings import SettingError

# Supplement B of the paper; MNIST-M to the digits of the official code.
PAPER = {
    "usps": {
        "learning_rate": 2e-4,
        "decay": 0.95,
        "decay_steps": 20_000,
        "discriminator_weight": 1.0,
        "generator_weight": 1.0,
        "task_weight_in_generator": 1.0,
        "class_weight": 1.0,
        "pose_weight": 0.0,
        "task_on_source": True,
        "similarity_weight": 0.0,
        "blocks": 6,
        "discriminator_keep": 0.9,
        "task": "digits",
    },
    "mnistm": {
        "learning_rate": 1e-3,
        "decay": 0.95,
        "decay_steps": 20_000,
        "discriminator_weight": 0.135603587834,
        "generator_weight": 0.0113173311334,
        "task_weight_in_generator": 0.0100959947002,
        "class_weight": 1.0,
        "pose_weight": 0.0,
        "task_on_source": True,
        "similarity_weight": 0.0,
        "blocks": 6,
        "discriminator_keep": 0.9,
        "task": "digits",
        "steps": 250_000,
    },
    "linemod": {
        "learning_rate": 2.2e-4,
        "decay": 0.75,
        "decay_steps": 95_000,
        "discriminator_weight": 0.004,
        "generator_weight": 0.011,
        "task_weight_in_generator": 0.0,
        "class_weight": 1.0,
        "pose_weight": 0.2,
        "task_on_source": False,
        "similarity_weight": 0.0,
        "blocks": 4,
        "discriminator_keep": 0.35,
        "task": "pose",
    },
    "linemod-masked": {
        "learning_rate": 2.6e-4,
        "decay": 0.75,
        "decay_steps": 95_000,
        "discriminator_weight": 0.0088,
        "generator_weight": 0.011,
        "task_weight_in_generator": 0.0,
        "class_weight": 1.0,
        "pose_weight": 0.29,
        "task_on_source": False,
        "similarity_weight": 22.9,
        "similarity_normaliser": "all",
        "similarity_per_channel": False,
        "blocks": 4,
        "discriminator_keep": 0.35,
        "task": "pose",
    },
}
COMMON = {
    "batch": 32,
    "width": 64,
    "noise_dimension": 10,
    "half_resolution": False,
    "dilated": False,
    "residual_output": False,
    "discriminator_width": 64,
    "discriminator_noise": 0.2,
    "discriminator_norm": "batch",
    "discriminator_shift": 0,
    "discriminator_color": 0.0,
    "discriminator_learning_rate": 0.0,
    "gan_loss": "non-saturating",
    "gradient_penalty": 0.0,
    "diversity_weight": 0.0,
    "depth_weight": 0.0,
    "schedule": "staircase",
    "weight_decay": 0.0,
    "clip_norm": 5.0,
    "ema": 0.0,
    "precision": "fp32",
}


@pytest.mark.parametrize("name", sorted(PAPER))
def test_presets_hold_the_papers_values(name: str) -> None:
    settings = dataclasses.asdict(PRESETS[name])
    expected = COMMON | PAPER[name]
    assert {key: settings[key] for key in expected} == expected


def test_fast_preset_works_at_half_the_resolution() -> None:
    assert PRESETS["fast"].half_resolution
    assert set(PRESETS) == {*PAPER, "fast", "best"}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"steps": 0}, "`steps`"),
        ({"batch": 1}, "`batch`"),
        ({"batch": 5, "diversity_weight": 1.0}, "`batch`"),
        ({"learning_rate": 0.0}, "`learning_rate`"),
        ({"learning_rate": float("nan")}, "`learning_rate`"),
        ({"discriminator_keep": 0.0}, "`discriminator_keep`"),
        ({"discriminator_keep": 1.1}, "`discriminator_keep`"),
        ({"ema": 1.0}, "`ema`"),
        ({"decay": 1.5}, "`decay`"),
        ({"similarity_weight": -1.0}, "`similarity_weight`"),
        ({"seed": -1}, "`seed`"),
        ({"max_minutes": -1.0}, "`max_minutes`"),
        ({"last_kernel": 2}, "`last_kernel`"),
        ({"gan_loss": "wasserstein"}, "`gan_loss`"),
        ({"precision": "fp16"}, "`precision`"),
        ({"task": "none", "task_weight_in_generator": 1.0}, "`task_weight_in_generator`"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_its_name(
    changes: dict[str, object], name: str
) -> None:
    with pytest.raises(SettingError, match=f"^{name} "):
        TrainConfig(**changes)  # type: ignore[arg-type]


def labelled(**changes: object) -> LabelledCrops:
    fields: dict[str, object] = {
        "images": np.zeros((4, 3, 8, 8), np.float32),
        "masks": np.zeros((4, 8, 8), bool),
        "class_index": np.zeros(4, np.int64),
        "quaternion": np.tile(np.float32([1, 0, 0, 0]), (4, 1)),
        "class_names": ("ape",),
    }
    return LabelledCrops(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masks": np.zeros((3, 8, 8), bool)}, "masks"),
        ({"quaternion": np.zeros((4, 3), np.float32)}, "quaternion"),
        ({"class_index": np.full(4, 1)}, "class_index"),
        ({"class_index": np.full(4, -1)}, "class_index"),
        ({"pose_weight": np.ones(5, np.float32)}, "pose_weight"),
        ({"images": np.zeros((4, 8, 8), np.float32)}, "images"),
    ],
)
def test_labels_that_do_not_fit_the_images_are_refused(
    changes: dict[str, object], message: str
) -> None:
    assert len(labelled()) == 4
    with pytest.raises(AdapterError, match=message):
        labelled(**changes)
