"""A stand-in for Sumotext: sends the callbacks of its documents to the daemon; shares no code with the adapter that it tests."""
