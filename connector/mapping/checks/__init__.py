"""What is wrong with a mapping file that can be read."""
