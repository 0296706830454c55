"""A daemon that keeps what SMS providers say about donors, and carries it to the CRM and back."""

__version__ = "0.2.0"
