"""Filling the keys of existing contacts from their phone numbers, whichever CRM they are in."""
