"""A stand-in for OnlineFundraising that speaks its documented protocol over HTTP; shares no code with the adapter that it checks."""

from connector.sandbox.onlinefundraising.app import build

__all__ = ["build"]
