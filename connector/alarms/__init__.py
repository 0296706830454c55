"""Alarms that reach a person: what is sent to whom and when, and the weekly digest. The only folder that imports apprise."""
