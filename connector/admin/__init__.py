"""Commands on the store, for the admin listener and for the CLI when the daemon does not run."""

from connector.admin.commands import commands_for
from connector.admin.context import AdminContext

__all__ = ["AdminContext", "commands_for"]
