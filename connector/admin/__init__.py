"""Commands on the store, for the admin listener and for the CLI when the daemon does not run."""

from connector.admin.commands import Control

__all__ = ["Control"]
