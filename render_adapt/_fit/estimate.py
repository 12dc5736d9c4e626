"""Settings whose renders measure as a camera's crops do.

Measures are biased: a blurred crop seems less shaded, noise widens every range. So renders are made
in the poses of the crops, measured in the same way, and the settings moved by the difference, until
there is none. What is drawn for them is the same each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from render_adapt._fit.measures import Measures, measure
from render_adapt._fit.statistics import Statistics, summarise
from render_adapt._fit.views import AlignedViews
from renderer import RANDOMIZATIONS, Randomization

_ROUNDS = 6
_UNIFORM = 0.8
"""The share of a range that lies between what a tenth is below and what a tenth is above."""
_WIDENED = 0.55
"""By how much a square pixel of blur widens outlines as they are measured (`outline_blur`)."""
_STREAKS = 11_520
"""The fourth power of the longest movement in parts of the mean square of `Statistics.streak`: an
even movement of L pixels has a variance of L^2 / 12 along it, half of it the mean of all
directions and half what depends on them; and movements are as often of each length."""

_SHORTEST = 2.0
"""Pixels: movements that are all shorter are not told from a lens out of focus."""


@dataclass(frozen=True)
class Estimate:
    """Settings in the form in which they are moved: pairs are what a tenth is below and above."""

    above: bool
    """Whether lights are about the board's upright, not the camera's direction."""
    cosine: float
    """Of the greatest angle from there."""
    ambient: tuple[float, float]
    light: tuple[float, float]
    exposure: float
    """The square of the greatest, in stops."""
    balance: float
    """The square of the greatest."""
    tint: float
    """The square of the greatest."""
    gloss: float
    blur: tuple[float, float]
    """Variances, square pixels."""
    movement: float
    """The fourth power of the longest, in pixels."""
    noise: tuple[float, float]
    """Variances, of 255 squared."""
    even: float = 1.0
    """By how much lights differ less in strength than they seem to: no more than crops differ in
    brightness, for a model's wrong colours look like light."""
    white: float = 1.0
    """By how much lights differ less in colour than they seem to: no more than crops do."""

    @property
    def longest(self) -> float:
        """The longest movement, pixels; 0 where it is no longer than chance makes it seem."""
        pixels = float(min(self.movement, 1e4) ** 0.25)
        return pixels if pixels >= _SHORTEST else 0.0

    @property
    def randomization(self) -> Randomization:
        """The settings, and nothing else that differs from crop to crop."""
        tint, balance = (float(np.sqrt(np.clip(k, 0, 0.64))) for k in (self.tint, self.balance))
        stops = float(np.sqrt(np.clip(self.exposure, 0, 9)))
        return replace(
            RANDOMIZATIONS["none"],
            light_from="above" if self.above else "camera",
            light_angle=float(np.degrees(np.arccos(np.clip(self.cosine, -1, 1)))),
            light_intensity=limits(self.light, 3.0), ambient_intensity=limits(self.ambient, 3.0),
            light_tint=tint, specular=(0.0, float(np.clip(self.gloss, 0, 2))),
            exposure=(-stops, stops), white_balance=balance,
            motion_blur=(0.0, self.longest),
            focus_blur=limits(_roots(self.blur), 20.0),
            color_noise=limits(_roots(self.noise), 60.0),
        )  # fmt: skip

    def moved(self, wanted: Statistics, had: Statistics) -> Estimate:
        """Settings whose renders would have what is wanted, where these have what they had."""
        even = min(1.0, self.even * _ratio(wanted.stops, had.stops))
        white = min(1.0, self.white * _ratio(wanted.balance, had.balance))
        tint = 0.75 * (white**2 * wanted.tint - had.tint)  # two of the light, two of the ambient
        return replace(
            self,
            even=even, white=white,
            cosine=float(np.clip(self.cosine + 2 * (wanted.upward - had.upward), -1, 1)),
            ambient=_moved(self.ambient, _narrowed(wanted.ambient, even), had.ambient),
            light=_moved(self.light, _narrowed(wanted.light, even), had.light),
            tint=max(0.0, self.tint + tint),
            gloss=max(0.0, self.gloss + 2 * (wanted.gloss - had.gloss)),
            blur=_moved(self.blur, wanted.blur, had.blur, 1 / _WIDENED),
            movement=max(0.0, self.longest**4 + _STREAKS * (wanted.streak - had.streak)),
            noise=_moved(self.noise, wanted.noise, had.noise),
        )  # fmt: skip


def limits(tenths: tuple[float, float], most: float) -> tuple[float, float]:
    """The range in which a tenth of what is drawn evenly is below, and a tenth above."""
    beyond = (tenths[1] - tenths[0]) * (1 - _UNIFORM) / (2 * _UNIFORM)
    least, greatest = np.clip([tenths[0] - beyond, tenths[1] + beyond], 0.0, most)
    return float(least), float(greatest)


def _roots(squares: tuple[float, float]) -> tuple[float, float]:
    return float(np.sqrt(max(0.0, squares[0]))), float(np.sqrt(max(0.0, squares[1])))


def _moved(
    setting: tuple[float, float],
    wanted: tuple[float, float],
    had: tuple[float, float],
    share: float = 1.0,
) -> tuple[float, float]:
    least, greatest = (
        max(0.0, place + share * (want - have))
        for place, want, have in zip(setting, wanted, had, strict=True)
    )
    return min(least, greatest), max(least, greatest)


def _ratio(wanted: tuple[float, float], had: tuple[float, float]) -> float:
    return (wanted[1] - wanted[0]) / max(had[1] - had[0], 1e-9)


def _narrowed(tenths: tuple[float, float], share: float) -> tuple[float, float]:
    middle, half = (tenths[0] + tenths[1]) / 2, share * (tenths[1] - tenths[0]) / 2
    return middle - half, middle + half


def _begin(wanted: Statistics) -> Estimate:
    return Estimate(
        above=wanted.above, cosine=2 * wanted.upward - 1, ambient=wanted.ambient,
        light=wanted.light, exposure=3 * max(0.0, wanted.exposure),
        balance=3 * np.log(2) ** 2 * max(0.0, wanted.white), tint=0.0, gloss=0.0,
        blur=(0.0, 0.0), movement=0.0, noise=(0.0, 0.0),
    )  # fmt: skip


def estimate(
    views: AlignedViews,
    seen: Measures,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> tuple[Estimate, Measures]:
    """Settings whose renders measure as the camera's crops do.

    Args:
        views: the crops.
        seen: what was measured of them.
        seed: decides what is drawn.
        on_progress: called with (done, in all).

    Returns:
        The settings, and what was measured of renders with them.
    """
    wanted = summarise(seen, views.plans, None)
    found = _begin(wanted)
    for done in range(_ROUNDS + 1):
        on_progress(done, _ROUNDS + 1)
        drawn = measure(views, views.render(found.randomization, seed))
        if done < _ROUNDS:
            found = found.moved(wanted, summarise(drawn, views.plans, wanted.above))
    on_progress(_ROUNDS + 1, _ROUNDS + 1)
    return found, drawn
