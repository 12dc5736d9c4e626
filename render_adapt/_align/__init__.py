"""What unlabelled crops show, and how it lies: found without labels."""
