"""Sumotext: web forms, polls, Text-4-Info, message forwards and delivery reports. It takes no commands."""
