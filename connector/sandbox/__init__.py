"""Stand-ins that use the real protocols over HTTP. They import nothing from the rest of the connector."""
