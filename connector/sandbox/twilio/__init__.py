"""A stand-in for Twilio: sends signed webhooks to the daemon and keeps opt-outs; shares no code with the adapter that it tests."""

from connector.sandbox.twilio.app import build

__all__ = ["build"]
