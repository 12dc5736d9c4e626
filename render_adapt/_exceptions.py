"""What can go wrong, as one tree.

    RenderAdaptError
    ├── ConfigError      a setting cannot be used; the message names the flag
    ├── DatasetError     the output folder cannot be written, read or continued
    └── WorkerError      worker processes keep dying

The packages below this one have a root each: `cad_models.ModelError`, `renderer.RenderError` and
`adapter.AdapterError`. `USER_ERRORS` is all of them: every message is one sentence for the person
who gave the command.
"""

from __future__ import annotations

from adapter import AdapterError
from cad_models import ModelError
from renderer import RenderError


class RenderAdaptError(Exception):
    """Root of the pipeline's own errors."""


class ConfigError(RenderAdaptError, ValueError):
    """A setting cannot be used; the message names the flag."""


class DatasetError(RenderAdaptError):
    """The output folder cannot be written, read or continued."""


class WorkerError(RenderAdaptError):
    """Worker processes keep dying before they have finished a shard."""

    def __init__(self, message: str, shard: int | None = None) -> None:
        super().__init__(message)
        self.shard = shard
        """Where they die; None where it is as they start."""


USER_ERRORS = (RenderAdaptError, ModelError, RenderError, AdapterError)
"""Every error that a user's input or machine can cause, to be shown as one sentence."""
