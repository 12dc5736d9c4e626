"""Aligned crops as an adapter learns from them."""
