"""The sink: a batch of writes becomes look-ups and requests, and each write gets its outcome."""
