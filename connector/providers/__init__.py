"""SMS providers: their webhook endpoints and sinks, written without I/O. Each provider has a folder of its own."""
