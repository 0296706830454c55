"""A stand-in for Strex Connect that speaks its real protocol over HTTP; shares no code with the adapters it checks."""

from connector.sandbox.strex.app import build

__all__ = ["build"]
