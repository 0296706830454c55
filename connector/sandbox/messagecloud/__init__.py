"""A stand-in for MessageCloud that uses its real protocol over HTTP; shares no code with the adapter that it tests."""
