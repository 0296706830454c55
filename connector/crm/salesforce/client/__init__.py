"""Salesforce's interfaces: requests, answers, error codes, sign-in."""
