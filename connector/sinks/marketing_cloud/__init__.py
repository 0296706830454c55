"""Salesforce Marketing Cloud: rows of data extensions, and journey events."""
