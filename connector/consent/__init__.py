"""Consent, pure: what a person has agreed to, which decision counts, and what may be written or sent because of it."""
