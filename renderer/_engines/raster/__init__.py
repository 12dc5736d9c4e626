"""The rasteriser on processors."""
