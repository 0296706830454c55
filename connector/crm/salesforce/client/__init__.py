"""Salesforce's interfaces: requests, responses, error codes, sign-in."""
