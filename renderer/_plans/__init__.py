"""What crops contain: poses, framing, other objects, lights and surfaces."""
