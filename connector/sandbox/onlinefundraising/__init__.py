"""A stand-in for OnlineFundraising that uses its documented protocol over HTTP; shares no code with the adapter that it tests."""

from connector.sandbox.onlinefundraising.app import build

__all__ = ["build"]
