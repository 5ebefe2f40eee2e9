"""Files, locks, terminal, progress, memory and network. Knows nothing of evaluation."""
