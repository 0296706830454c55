"""Requests to MessageCloud's endpoints."""

from datetime import UTC, datetime

from connector.model.http import HttpRequest

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def request(endpoint="mo", *, method="POST", query="", body=b"", secret=None, peer="192.0.2.7", received_at=NOW):
    return HttpRequest(
        method=method,
        instance="messagecloud",
        endpoint=endpoint,
        secret=secret,
        url=f"https://sms.example.org/hooks/messagecloud/{endpoint}",
        query=query,
        headers={"content-type": "application/x-www-form-urlencoded"} if body else {},
        body=body,
        peer=peer,
        received_at=received_at,
    )
