"""Blur, exposure, noise and white balance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from renderer import RANDOMIZATIONS, Randomization
from renderer._capture.camera import (
    Shot,
    decode_srgb,
    draw_shot,
    encode_srgb,
    gaussian_kernel,
    has_camera,
    motion_kernel,
    take_picture,
)

Picture = NDArray[np.uint8]


def linear(value: float) -> float:
    """IEC 61966-2-1, as printed."""
    share = value / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def srgb(light: float) -> float:
    light = min(max(light, 0.0), 1.0)
    return 255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)


def taken(picture: Picture, seed: int = 0, **shot: float) -> Picture:
    return take_picture(picture, Shot(**shot), np.random.default_rng(seed))


def flat(value: int, size: int = 64) -> Picture:
    return np.full((size, size, 3), value, np.uint8)


def noise(size: tuple[int, int] = (24, 31), seed: int = 3) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def test_srgb_is_the_standards_and_decoding_undoes_encoding() -> None:
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_allclose(decode_srgb(every), [linear(v) for v in range(256)], rtol=1e-6)
    np.testing.assert_array_equal(encode_srgb(decode_srgb(every)), every)
    light = np.linspace(-0.2, 1.3, 4001).astype(np.float32)
    exact = np.array([srgb(float(value)) for value in light])
    assert np.abs(encode_srgb(light) - exact).max() < 0.53  # half a step, and a 65536th of light


def test_an_ideal_shot_changes_nothing() -> None:
    picture = noise()
    np.testing.assert_array_equal(taken(picture), picture)


@settings(deadline=None)
@given(st.floats(0.02, 30))
@example(0.1)
def test_focus_blur_has_the_variance_it_is_asked_for(sigma: float) -> None:
    kernel = gaussian_kernel(sigma).astype(np.float64)
    place = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.min() > -1e-7
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    assert (kernel * place).sum() == pytest.approx(0, abs=1e-5)
    assert (kernel * place**2).sum() == pytest.approx(sigma**2, rel=2e-3)


@settings(deadline=None)
@given(st.floats(0.02, 40), st.floats(0, math.pi))
@example(2.5, 0.0)
@example(1.0, math.pi / 2)
@example(1e-3, 1.0)
def test_motion_blur_has_the_moments_of_a_line(length: float, direction: float) -> None:
    kernel = motion_kernel(length, direction).astype(np.float64)
    reach = len(kernel) // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along = x * math.cos(direction) + y * math.sin(direction)
    across = y * math.cos(direction) - x * math.sin(direction)
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    assert (kernel * x).sum() == pytest.approx(0, abs=1e-5)
    assert (kernel * y).sum() == pytest.approx(0, abs=1e-5)
    assert (kernel * along**2).sum() == pytest.approx(length**2 / 12, rel=2e-3, abs=1e-8)
    # What a line between pixel centres cannot avoid.
    assert 0 <= (kernel * across**2).sum() <= 0.26


def test_motion_along_a_row_stays_in_the_row_and_down_a_column_in_the_column() -> None:
    row = motion_kernel(3.0, 0.0)
    middle = len(row) // 2
    assert row[middle].sum() == pytest.approx(1)
    np.testing.assert_allclose(row, motion_kernel(3.0, math.pi / 2).T, atol=1e-7)
    # Three weights and two beside them, with a variance of 9 / 12.
    np.testing.assert_allclose(row[middle], row[middle, ::-1], atol=1e-7)
    assert (np.diff(row[middle, : middle + 1]) >= 0).all()


def test_a_point_of_light_stays_where_it_is() -> None:
    picture = flat(0, 31)
    picture[15, 15] = 255
    light = decode_srgb(taken(picture, motion=5.0, direction=0.4, focus=0.8))[..., 0].astype(float)
    y, x = np.indices(light.shape) - 15
    assert (light * x).sum() / light.sum() == pytest.approx(0, abs=0.02)
    assert (light * y).sum() / light.sum() == pytest.approx(0, abs=0.02)
    assert light.sum() == pytest.approx(1, rel=0.02)


def test_blur_mixes_light_not_srgb_values() -> None:
    stripes = flat(0)
    stripes[:, ::2] = 255
    # Half the light is 188 in sRGB, where the mean of 0 and 255 would be 128.
    assert set(np.unique(taken(stripes, focus=3.0)[8:-8, 8:-8])) <= {187, 188, 189}


def test_white_balance_multiplies_light() -> None:
    picture = noise()
    balanced = taken(picture, red=0.8, blue=1.2)
    for channel, factor in enumerate((0.8, 1.0, 1.2)):
        expected = [srgb(factor * linear(float(v))) for v in picture[..., channel].ravel()]
        assert np.abs(balanced[..., channel].ravel() - expected).max() < 0.53


def test_a_stop_is_twice_the_light() -> None:
    assert taken(flat(128), exposure=1.0)[0, 0, 0] == round(srgb(2 * linear(128))) == 176
    assert taken(flat(128), exposure=-1.0)[0, 0, 0] == round(srgb(linear(128) / 2)) == 92
    assert (taken(flat(200), exposure=1.0) == 255).all()


@pytest.mark.parametrize("deviation", [2.0, 8.0])
def test_noise_at_mid_grey_is_what_was_asked_for(deviation: float) -> None:
    noisy = taken(flat(128, 200), noise=deviation).astype(float)
    assert noisy.std() == pytest.approx(deviation, rel=0.03)
    assert noisy.mean() == pytest.approx(128, abs=0.5)
    # Of each pixel and channel on its own.
    assert abs(np.corrcoef(noisy[:, :-1].ravel(), noisy[:, 1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(noisy[..., 0].ravel(), noisy[..., 1].ravel())[0, 1]) < 0.02


def test_variance_of_the_noise_grows_evenly_with_the_light_and_does_not_end_in_the_dark() -> None:
    values = (60, 128, 180)
    lights = np.array([linear(value) for value in values])
    spread = [
        decode_srgb(taken(flat(value, 200), noise=4.0)).astype(float).var() for value in values
    ]
    slope, offset = np.polyfit(lights, spread, 1)
    assert spread == pytest.approx(slope * lights + offset, rel=0.03)
    assert 0 < offset < 0.1 * spread[1]
    dark = taken(flat(0, 200), noise=4.0)
    assert 0.4 < (dark > 0).mean() <= 0.5  # the other half is cut off at black


def test_twice_the_exposure_has_noise_of_its_own_light() -> None:
    """Exposed first, then measured: the noise is that of the light that reached the sensor."""
    exposed = taken(flat(92, 200), exposure=1.0, noise=4.0).astype(float)
    assert exposed.std() == pytest.approx(taken(flat(128, 200), noise=4.0).std(), rel=0.03)


def test_drawn_shots_keep_to_their_ranges_and_fill_them() -> None:
    wide = Randomization(
        exposure=(-0.5, 1.0), white_balance=0.2, motion_blur=(1.0, 3.0), focus_blur=(0.2, 0.4),
        color_noise=(3.0, 6.0),
    )  # fmt: skip
    shots = [draw_shot(wide, np.random.default_rng([1, i, 6])) for i in range(400)]
    limits = {
        "exposure": (-0.5, 1.0), "red": (0.8, 1.2), "blue": (0.8, 1.2), "motion": (1.0, 3.0),
        "direction": (0.0, math.pi), "focus": (0.2, 0.4), "noise": (3.0, 6.0),
    }  # fmt: skip
    for name, (least, greatest) in limits.items():
        drawn = np.array([getattr(shot, name) for shot in shots])
        assert least <= drawn.min() < least + 0.02 * (greatest - least), name
        assert greatest - 0.02 * (greatest - least) < drawn.max() <= greatest, name
        assert drawn.mean() == pytest.approx((least + greatest) / 2, abs=0.06 * (greatest - least))


def test_which_settings_have_a_camera() -> None:
    assert not has_camera(RANDOMIZATIONS["linemod"])
    assert not has_camera(RANDOMIZATIONS["none"])
    assert has_camera(RANDOMIZATIONS["strong"])
    for changed in (
        Randomization(white_balance=0.1), Randomization(exposure=(-1.0, -1.0)),
        Randomization(motion_blur=(0.0, 1.0)), Randomization(focus_blur=(0.0, 1.0)),
        Randomization(color_noise=(0.0, 1.0)),
    ):  # fmt: skip
        assert has_camera(changed)
