"""OpenGL, through pyrender."""
