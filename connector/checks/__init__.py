"""Config and mappings held against the CRM, the disk and the provider."""
