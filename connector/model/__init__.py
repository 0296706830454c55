"""Shared vocabulary of the packages: immutable values and pure functions on them. Imports no other package of the connector."""
