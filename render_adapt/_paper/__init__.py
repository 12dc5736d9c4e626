"""The experiments of the PixelDA paper: `render-adapt reproduce` (docs/paper.md)."""
