"""Unlabelled crops for training out of a camera's whole frames."""
