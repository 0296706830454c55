"""Opt-outs as OnlineFundraising sends them, in the form of SMS Inbound Webhooks.

The reader for real messages turns them into events.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from connector.providers.onlinefundraising.webhook import Reader
from connector.providers.samples import WHEN, OptOutSample

EXAMPLE = "STØT"  # the document's keyword, used if the config names none


def opt_out_samples(reader: Reader, keywords: Sequence[str]) -> Iterator[OptOutSample]:
    """Every kind of opt-out, for each keyword."""
    for keyword in keywords or (EXAMPLE,):
        for name, text, more in (
            (f"an OnlineFundraising message {keyword} STOP", f"{keyword} stop", {}),
            ("an OnlineFundraising message with the sub keyword stop", f"{keyword} stop", {"subKeyword": "stop"}),
            ("an OnlineFundraising message STOP", "STOP", {}),
        ):
            for part in reader.parts(_body(keyword, text, **more), WHEN):
                if part.event is not None:
                    yield OptOutSample(name=name, event=part.event)


def _body(keyword: str, text: str, **more: Any) -> bytes:
    message = {
        "messageGuid": "17934114-0000-0000-0000-000000000000",
        "createdTs": "2026-01-02 04:04:05 +0100",
        "channel": "1217",
        "keyword": keyword,
        "receivedText": text,
        "keywordGuid": "3b03ac9a-0000-0000-0000-000000000000",
        "state": "Processed",
        "msisdn": "4790000001",
        "campaignGuid": "9b6ae17d-0000-0000-0000-000000000000",
        **more,
    }
    return json.dumps([message]).encode()
