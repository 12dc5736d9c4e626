"""Pictures for surfaces and backgrounds."""
