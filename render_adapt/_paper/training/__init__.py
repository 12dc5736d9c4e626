"""How systems are trained: their settings, and jobs that can be stopped and go on."""
