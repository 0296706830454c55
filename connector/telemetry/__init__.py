"""Log events become log lines and metrics. Nothing here decides anything."""
