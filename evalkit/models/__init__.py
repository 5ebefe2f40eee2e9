"""Checkpoints: where they are, what they say of themselves, and loading them without remote code."""
