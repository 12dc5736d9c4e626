"""Parquet files as arrays: what an index needs of the format, read without trust."""
