"""Turns log events into log lines and metrics. Decides nothing."""
