"""Whole frames through an adapter: object by object, each in a window of its own."""
