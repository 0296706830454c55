"""Sinks that are neither a CRM nor a provider: one folder for each kind."""
