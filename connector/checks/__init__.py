"""Checks of config and mappings against the CRM, the disk and the provider."""
