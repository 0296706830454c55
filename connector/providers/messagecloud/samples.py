"""Opt-outs as MessageCloud sends them: forms like those in articles 16 and 74.

The reader for real callbacks turns them into events.
"""

from collections.abc import Iterator, Sequence
from urllib.parse import urlencode

from connector.providers.messagecloud.gateway import MESSAGE, Reader
from connector.providers.samples import OptOutSample, sample_request

COMMON = {"action": MESSAGE, "id": "1083545875", "billing": "MT", "country": "NO", "number": "4790000001"}
EXAMPLE = ("2172", "KATT")  # used if the config names no offer


def opt_out_samples(reader: Reader, offers: Sequence[tuple[str, str]]) -> Iterator[OptOutSample]:
    """Every kind of opt-out, for each offer (short code and keyword)."""
    for shortcode, keyword in offers or (EXAMPLE,):
        for name, message in (
            ("a MessageCloud message STOP", "STOP"),
            (f"a MessageCloud message STOP {keyword}", f"STOP {keyword}"),
            ("a stop of MessageCloud's general gateway (ask NAME stop)", "ask name stop"),
        ):
            form = urlencode({**COMMON, "shortcode": shortcode, "message": message})
            yield OptOutSample(
                name=name, event=reader.read("mo", sample_request(reader.provider, "mo", body=form.encode()))
            )
