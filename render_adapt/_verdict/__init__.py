"""What an adapter is worth by measures that need no label, in numbers and in words."""
