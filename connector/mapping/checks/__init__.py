"""Checks for mapping files that can be parsed."""
