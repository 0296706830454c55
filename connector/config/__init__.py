"""Reads the config and the files beside it: YAML text to checked models, every problem with its place. Knows no adapter."""
