"""Editing the mapping files from the console: trying an edited text in a process of its own, and putting it in use."""
