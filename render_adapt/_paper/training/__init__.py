"""How systems are trained: their settings, and experiments that can be stopped and go on."""
