"""The sink: writes of records."""
