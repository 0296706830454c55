"""A stand-in for Sumotext: plays the callbacks of its documents at the daemon's doors; shares no code with the adapter it checks."""

from connector.sandbox.sumotext.app import build

__all__ = ["build"]
