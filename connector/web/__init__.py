"""The two listeners: hooks for providers, admin for the operator. The only servers in the house."""
