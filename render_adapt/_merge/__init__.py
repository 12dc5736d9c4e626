"""Several finished datasets, made one."""
