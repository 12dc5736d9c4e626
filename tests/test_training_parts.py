"""Parts of trainings by themselves: batches, augmentation, schedules, and what watches a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from adapter import BaselineConfig, TrainingCollapsed
from adapter._batches import Rows
from adapter._training.aligning import ramp_after
from adapter._training.augmentation import (
    augment,
    recoloured_alike,
    towards_one_color,
    turned_hues,
)
from adapter._training.monitor import CollapseWatch, DiscriminatorWatch, variation
from adapter._training.schedule import rate_factor
from tests.pixelda_toy import toy_source, toy_target

SOURCE, TARGET = toy_source(), toy_target()


def test_every_crop_is_seen_once_before_any_is_seen_twice() -> None:
    rows = Rows(20, 8, 0, 1)
    seen = np.concatenate([rows.draw(draw) for draw in range(5)])  # 40 crops: two rounds
    for one_round in np.split(seen, 2):
        assert sorted(one_round) == list(range(20))
    assert not np.array_equal(*np.split(seen, 2))


def test_a_batch_is_a_function_of_its_number() -> None:
    in_order = Rows(30, 8, 0, 1)
    for draw in range(40):
        last = in_order.draw(draw)
    assert np.array_equal(last, Rows(30, 8, 0, 1).draw(39))


def test_a_batch_may_be_larger_than_the_data() -> None:
    assert sorted(Rows(2, 8, 0, 1).draw(3)) == [0] * 4 + [1] * 4


def test_augmentation_shifts_whole_pixels_and_spares_the_depth_of_colour_changes() -> None:
    torch.manual_seed(0)
    x = torch.rand(6, 4, 16, 16)
    shifted = augment(x, shift=2)
    inner = shifted[:, :, 4:12, 4:12]
    for crop, moved in zip(x, inner, strict=True):
        places = [
            (top, left)
            for top in range(2, 7)
            for left in range(2, 7)
            if torch.equal(crop[:, top : top + 8, left : left + 8], moved)
        ]
        assert len(places) == 1
    colored = augment(x, color=0.3)
    assert torch.equal(colored[:, 3], x[:, 3])
    assert not torch.allclose(colored[:, :3], x[:, :3])


def test_ramp_and_learning_rates_by_hand() -> None:
    config = BaselineConfig(
        system="dann", steps=3_000, alignment_from_step=1_000, ramp="ganin", decay=0.5
    )
    assert ramp_after(1_000, config) == 0
    assert ramp_after(2_000, config) == pytest.approx(0.9866143)  # 2 / (1 + e^-5) - 1
    assert ramp_after(1_000, replace(config, ramp="constant")) == 1
    stairs = replace(config, decay_steps=100)
    factors = [rate_factor(stairs, step, 3_000) for step in (0, 99, 100, 250)]
    assert factors == pytest.approx([1, 1, 0.5, 0.25])
    linear = replace(config, schedule="linear")
    factors = [rate_factor(linear, step, 3_000) for step in (0, 1_500, 2_250, 2_999)]
    assert factors == pytest.approx([1, 1, 0.5, 2 / 3_000])
    assert rate_factor(replace(config, schedule="constant"), 2_999, 3_000) == 1


def test_variation_is_the_mean_standard_deviation_over_crops() -> None:
    crops = np.zeros((2, 1, 1, 4), np.float32)
    crops[0, 0, 0] = [0, 1, -1, 0.5]
    crops[1, 0, 0] = [0, 0, 1, 0.5]
    assert variation(crops) == pytest.approx((0 + 0.5 + 1 + 0) / 4)


def adapted(part: float) -> np.ndarray:
    """Crops that vary by a part of what the source crops do, about a plain grey."""
    return (0.3 + part * SOURCE.images[:64]).astype(np.float32)


def test_three_low_checks_in_a_row_stop_the_run() -> None:
    # The target's crops vary less than the source's, so that they are the measure.
    calm = 0.5 * SOURCE.images
    watch = CollapseWatch(SOURCE.images[:64], calm[:64])
    watch.check(adapted(0.04), 2000)
    watch.check(adapted(0.04), 3000)
    watch.check(adapted(0.06), 4000)  # 12 % of the target's
    watch.check(adapted(0.04), 5000)
    watch.check(adapted(0.04), 6000)
    with pytest.raises(
        TrainingCollapsed, match=r"collapsed at step 7000: .* 8\.0 % .*`learning_rate`"
    ):
        watch.check(adapted(0.04), 7000)


def test_an_untrained_generator_and_data_all_alike_are_no_collapse() -> None:
    assert CollapseWatch.FIRST_STEP > 4
    early = CollapseWatch(SOURCE.images, TARGET)
    for step in (1, 2, 3, 4):
        early.check(adapted(0.0), step)
    assert early.low_checks == 0
    alike = CollapseWatch(np.repeat(SOURCE.images[:1], 80, axis=0), TARGET)
    for step in (2000, 3000, 4000, 5000):
        alike.check(adapted(0.0), step)
    assert alike.low_checks == 0


def test_a_discriminator_that_wins_for_long_is_noted() -> None:
    watch = DiscriminatorWatch()
    notes = [watch.note(step, 1.0, 0.99) for step in range(301, 1301)]
    assert set(notes[:-1]) == {""}
    assert "`discriminator_keep`" in notes[-1]
    # It stays while the next 1,000 steps are gathered, and goes if they are better on one side.
    later = [watch.note(step, 1.0, 0.97) for step in range(1301, 2301)]
    assert set(later[:-1]) == {notes[-1]}
    assert later[-1] == ""


def test_hues_are_turned_about_grey() -> None:
    torch.manual_seed(0)
    colors = 0.5 * (2 * torch.rand(4, 3, 5, 7) - 1)
    third = torch.full((4,), 120.0)
    torch.testing.assert_close(turned_hues(colors, third), colors.roll(1, dims=1))
    degrees = torch.tensor([0.0, 10.0, -77.0, 180.0])
    turned = turned_hues(colors, degrees)
    torch.testing.assert_close(turned[0], colors[0])
    torch.testing.assert_close(turned.mean(dim=1), colors.mean(dim=1))
    torch.testing.assert_close(turned_hues(turned, -degrees), colors)
    assert turned_hues(4 * colors, third).abs().max() == 1.0


def test_colors_keep_their_hue_where_saturation_and_brightness_change() -> None:
    torch.manual_seed(0)
    colors = 2 * torch.rand(4, 3, 5, 7) - 1
    ones = torch.ones(4)
    torch.testing.assert_close(recoloured_alike(colors, ones, ones), colors)
    grey = recoloured_alike(colors, torch.zeros(4), ones)
    torch.testing.assert_close(grey, colors.mean(dim=1, keepdim=True).expand_as(colors))
    dark = recoloured_alike(colors, ones, 0.5 * ones)
    torch.testing.assert_close((dark + 1) * 2, colors + 1)
    assert recoloured_alike(colors, ones, 3 * ones).max() == 1.0


def test_crops_go_towards_one_color() -> None:
    torch.manual_seed(0)
    colors, color = 2 * torch.rand(3, 3, 5, 7) - 1, 2 * torch.rand(3, 3) - 1
    mixed = towards_one_color(colors, color, torch.tensor([0.0, 0.25, 1.0]))
    torch.testing.assert_close(mixed[0], colors[0])
    torch.testing.assert_close(mixed[1], 0.75 * colors[1] + 0.25 * color[1, :, None, None])
    torch.testing.assert_close(mixed[2], color[2, :, None, None].expand(3, 5, 7))
