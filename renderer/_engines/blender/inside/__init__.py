"""What runs in Blender's own Python, which lacks much of what the rest needs."""
