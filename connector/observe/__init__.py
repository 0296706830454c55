"""What the house tells about itself: facts become log lines and metrics. Nothing here decides anything."""
