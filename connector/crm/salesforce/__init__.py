"""Salesforce: writes go out in collections, changes are polled by SOQL. No I/O except for signing in."""
