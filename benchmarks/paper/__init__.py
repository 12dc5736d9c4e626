"""The paper's experiments as commands: `render-adapt reproduce` (docs/paper.md)."""

from __future__ import annotations

from benchmarks.paper._reproduce import ReproduceRun, reproduce

__all__ = ["ReproduceRun", "reproduce"]
