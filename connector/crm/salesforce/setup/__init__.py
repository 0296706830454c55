"""One-off work in an org. The daemon imports none of it."""
