"""Between people and Hydra: the one room that knows its grammar, its errors and its sweeps.

A wrong setting is a `ConfigError`, one line that lists what is legal. Docstrings here mention only other errors.
"""
