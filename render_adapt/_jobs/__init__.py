"""Work for a user interface, in a process of its own."""
