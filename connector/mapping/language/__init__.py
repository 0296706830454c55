"""What may be written in a mapping file."""
