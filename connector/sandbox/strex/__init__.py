"""A stand-in for Strex Connect that uses its real protocol over HTTP; shares no code with the adapters that it tests."""

from connector.sandbox.strex.app import build

__all__ = ["build"]
