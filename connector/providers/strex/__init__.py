"""Strex Connect (Target365): forwarded messages and delivery reports in, service commands out. Nothing here does I/O."""
