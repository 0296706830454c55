"""Signed messages to a webhook of the operator's own, by Standard Webhooks 1.0 (standardwebhooks.com)."""
