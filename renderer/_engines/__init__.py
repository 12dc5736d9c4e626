"""What draws crops."""
