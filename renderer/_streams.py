"""The random numbers of a run: what each stream is for."""

from __future__ import annotations

import enum


@enum.unique
class Stream(enum.IntEnum):
    """Where crop i's numbers of one kind come from: `default_rng([seed, i, stream])`.

    Convention:
        A stream is opened only where a setting needs it, and each setting's numbers have their own
        places in it. What is drawn never changes: a new setting takes a new stream, for a longer
        row of an old one would move the numbers that follow it, and with them every seed's crops.
    """

    PLAN = 0
    """Pose, distance and the first light."""
    NOISE = 2
    """The adapter's noise vector (`adapter.draw_noise`, which knows no renderer); behind it, of a
    crop that is adapted again, how often it has been, and of a frame's objects behind its target,
    which."""
    SCENE = 3
    """Framing, further lights, other objects."""
    SURFACE = 4
    """What surfaces look like."""
    BACKGROUND = 5
    CAMERA = 6
    """The camera's settings, and then its noise."""
    SENSOR = 7
    """The depth sensor."""
    ENVIRONMENT = 8
    """The picture that lights a Blender scene."""
    VIEW = 9
    """Where in the camera's view a crop lies, where it lies off the axis."""
