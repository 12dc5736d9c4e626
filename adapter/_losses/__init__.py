"""What trainings minimise."""
