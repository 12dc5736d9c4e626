"""Mesh files of every kind, and folders of them."""
