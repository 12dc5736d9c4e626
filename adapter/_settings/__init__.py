"""How systems are trained."""
