# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a job is not begun."""

from __future__ import annotations


class Refusal(Exception):
    """Something that the user can mend: one sentence, which says how."""
