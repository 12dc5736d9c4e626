"""Measured and trained on a GPU that is lent by the minute; docs/gpu.md says what to type."""
