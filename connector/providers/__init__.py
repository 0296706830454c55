"""SMS providers: their doors and sinks, written sans I/O. What one provider alone knows lives in a room of its own."""
