"""Running models over many texts: length-sorted batches by token budget. Knows nothing of datasets or rankings."""
