"""A receiver of signed messages, for tests and the demo. It shares no code with the sink that it tests."""
