"""The sink: turns a batch of writes into look-ups and requests, and returns one outcome per write."""
