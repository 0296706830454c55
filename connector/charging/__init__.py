"""Recurring charges: when a donor is charged, whether they may be, and what a run waits for. Pure."""
