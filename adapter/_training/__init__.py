"""Training: a loop for each algorithm, and what they share."""
