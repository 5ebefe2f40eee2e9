"""From results to answers: comparisons, depth curves, gates and published tables. Prints nothing."""
