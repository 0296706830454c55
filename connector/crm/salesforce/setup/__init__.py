"""One-off work in an org. The daemon does not import it."""
