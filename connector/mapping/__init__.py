"""Mappings: an admin's rules in YAML, checked and compiled, and what they want for one event. Pure; knows no adapter."""
