"""Whether adapted crops still show what their labels say."""
