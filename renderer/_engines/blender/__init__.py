"""Cycles, in a process of its own or in Blender."""
