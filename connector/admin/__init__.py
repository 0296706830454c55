"""What a person can ask of the store, or do to it: one room for the admin listener and for the commands when the daemon is down."""

from connector.admin.commands import Control

__all__ = ["Control"]
