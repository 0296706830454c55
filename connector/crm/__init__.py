"""The CRMs that we write to and follow, one room each. They do no I/O but for signing in."""
