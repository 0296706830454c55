"""A stand-in for MessageCloud that uses its real protocol over HTTP; shares no code with the adapter that it tests."""

from connector.sandbox.messagecloud.app import GATEWAY, build

__all__ = ["GATEWAY", "build"]
