"""Kinds of numbers that settings of all trainings are."""

from __future__ import annotations

from typing import Annotated

from checked_settings import Above, AtLeast, AtMost, Below, Between

Count = Annotated[int, AtLeast(1)]
Whole = Annotated[int, AtLeast(0)]
Weight = Annotated[float, AtLeast(0)]
Positive = Annotated[float, Above(0)]
Factor = Annotated[float, Above(0), AtMost(1)]
Average = Annotated[float, AtLeast(0), Below(1)]
"""What a moving average keeps of itself."""
Angle = Annotated[float, Between(0, 180)]
"""Degrees, to either side."""
Batch = Annotated[int, AtLeast(2)]
"""Batch normalisation, and covariances, need two of each."""
Share = Annotated[float, Between(0, 1)]
