# SPDX-License-Identifier: GPL-3.0-or-later
"""What the extension and the job's process say to each other, from the bundled packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from checked_settings import worded
from render_adapt.jobs import (
    Checked,
    Failed,
    Generated,
    Generating,
    Job,
    Learned,
    Learning,
    Message,
    Preview,
    Target,
    Verified,
    Working,
    decode_message,
    write_job,
)

__all__ = [
    "Checked",
    "Failed",
    "Generated",
    "Generating",
    "Job",
    "Learned",
    "Learning",
    "Message",
    "Preview",
    "Target",
    "Verified",
    "Working",
    "bundled_packages",
    "decode_message",
    "worded",
    "write_job",
]


def bundled_packages() -> Path:
    """The folder that Blender unpacked the extension's wheels into."""
    spec = importlib.util.find_spec("render_adapt")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[1]
