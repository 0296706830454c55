"""A stand-in for Marketing Cloud: tokens, rows of data extensions, journey events. It shares no code with the sinks."""
