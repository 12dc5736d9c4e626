"""What a camera makes of a drawn crop."""
