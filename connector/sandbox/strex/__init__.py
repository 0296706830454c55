"""A stand-in for Strex Connect that uses its real protocol over HTTP; shares no code with the adapters that it tests."""
