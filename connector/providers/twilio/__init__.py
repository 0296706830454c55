"""Twilio: incoming messages and status callbacks. It takes no commands."""
