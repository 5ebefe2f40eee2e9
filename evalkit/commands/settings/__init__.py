"""Between people and Hydra: the one room that knows its grammar, its errors and its sweeps."""
