"""Whether a dataset is what was written, and its labels are true."""
