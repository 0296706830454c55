"""Consent, pure: what a person has agreed to, which word counts, and what may be written or sent because of it."""
