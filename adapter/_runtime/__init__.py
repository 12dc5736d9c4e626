"""Adapters at work, and on disk."""
