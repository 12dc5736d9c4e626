"""Real crops: what a folder of them holds."""
