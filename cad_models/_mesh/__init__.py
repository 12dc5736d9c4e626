"""Meshes as arrays: checked, measured, their looks put together."""
