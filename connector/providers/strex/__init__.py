"""Strex Connect (Target365): receives forwarded messages and delivery reports, sends service commands. Nothing here does I/O."""
