"""Published tables beside our results: what they hold, which cells are missing, and why a cell is off."""
