"""A stand-in for MessageCloud that speaks its real protocol over HTTP; shares no code with the adapter it checks."""

from connector.sandbox.messagecloud.app import build

__all__ = ["build"]
