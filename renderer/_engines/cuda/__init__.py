"""The rasteriser on a GPU."""
