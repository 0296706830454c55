"""Compiles a mapping file into functions of an event."""
