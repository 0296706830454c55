"""When a forward without a 200 response is retried. Pure."""

from enum import StrEnum

# Target365 REST user guide: a delivery report is retried 19 times, with exponentially growing waits, over about 48
# hours. It gives no single wait: 19 waits from 10 s growing by 1.631 add up to 48 hours.
FIRST_WAIT_SECONDS = 10.0
GROWTH = 1.631
REPORT_RETRIES = 19
# The guide only says "several times" for a message; few retries within a short time are the harder case for a receiver.
MESSAGE_RETRIES = 5


class Kind(StrEnum):
    """What is forwarded: a message from a phone, or a delivery report."""

    MESSAGE = "mo"
    REPORT = "dlr"


def waits(kind: Kind) -> tuple[float, ...]:
    """The waits in seconds before the first, second, … retry."""
    retries = MESSAGE_RETRIES if kind is Kind.MESSAGE else REPORT_RETRIES
    return tuple(FIRST_WAIT_SECONDS * GROWTH**turn for turn in range(retries))
