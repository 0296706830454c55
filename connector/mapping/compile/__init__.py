"""What is written in a mapping file, as functions of an event."""
