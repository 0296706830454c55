"""The supported CRMs, one folder each. They do no I/O except for signing in."""
