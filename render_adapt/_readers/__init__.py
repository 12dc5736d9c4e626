"""Datasets for those who train on them."""
