"""One file a verb. A verb parses its arguments, calls the program, and prints; only here is Hydra known."""
