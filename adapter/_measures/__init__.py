"""How good a trained system is."""
