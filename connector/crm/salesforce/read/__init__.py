"""Reading from an org: changes, notifications, descriptions, health checks."""
