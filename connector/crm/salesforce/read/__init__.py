"""What is read of an org: changes, notifications, descriptions, a look at its health."""
