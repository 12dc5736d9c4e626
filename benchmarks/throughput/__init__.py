"""How fast crops are made: by stage, as a whole, as runs grow, and beside others."""
