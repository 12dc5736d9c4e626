"""Randomisation that makes renders most like the crops of a camera, measured on aligned ones."""
