"""BOP datasets that are there already: adapted, or cut into crops."""
