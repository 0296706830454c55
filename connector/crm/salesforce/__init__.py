"""Salesforce: writes go out in collections, changes are polled by SOQL. Sans I/O but for login."""
