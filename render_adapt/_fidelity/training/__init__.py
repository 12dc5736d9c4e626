"""Training the judge."""
