"""When a forward that was not answered with 200 is tried again; pure."""

from enum import StrEnum

# Target365 REST user guide: a delivery report is retried 19 times, exponentially longer, over about 48 hours. It
# gives no single wait: 10 s growing by 1.631 is what makes 19 of them sum to 48 hours.
FIRST_WAIT_SECONDS = 10.0
GROWTH = 1.631
REPORT_RETRIES = 19
# The guide says only "several times" for a message; few and soon over is the harder case for a receiver.
MESSAGE_RETRIES = 5


class Kind(StrEnum):
    """What is forwarded: a message from a phone, or a delivery report."""

    MESSAGE = "mo"
    REPORT = "dlr"


def waits(kind: Kind) -> tuple[float, ...]:
    """The waits in seconds before the first, second, … retry."""
    retries = MESSAGE_RETRIES if kind is Kind.MESSAGE else REPORT_RETRIES
    return tuple(FIRST_WAIT_SECONDS * GROWTH**turn for turn in range(retries))
