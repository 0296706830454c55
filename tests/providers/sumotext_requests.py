"""Requests as Sumotext sends them."""

from datetime import UTC, datetime
from pathlib import Path

from connector.model.http import HttpRequest

SAMPLES = Path(__file__).parents[1] / "samples" / "sumotext"
NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def sample(name):
    """The query of a document's example, byte for byte."""
    return (SAMPLES / f"{name}.url").read_text().rstrip("\n").partition("?")[2]


def request(query="", *, body=b"", content_type="", at=NOW, secret=None):
    return HttpRequest(
        method="POST" if body else "GET",
        instance="sumotext",
        endpoint="crm",
        secret=secret,
        url=f"https://hooks.example.org/hooks/sumotext/crm?{query}",
        query=query,
        headers={"content-type": content_type} if content_type else {},
        body=body,
        peer="192.0.2.7",
        received_at=at,
    )
