"""Delivery: how operations become a batch, what an outcome leads to, and the one HTTP client."""
