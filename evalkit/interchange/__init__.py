"""Results and the pipeline for other tools: TREC files, mteb's results and predictions, mteb's `SearchProtocol`."""
