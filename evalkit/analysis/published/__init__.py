"""Published tables and our results: the cells, those that are missing, and why a cell is off."""
