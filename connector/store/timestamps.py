"""Points in time as the database stores them: whole microseconds since 1970, UTC. Nothing else belongs here."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Microseconds since the epoch; raises TypeError for a time without a zone, which would be a guess."""
    return (moment - EPOCH) // MICROSECOND


def moment(count: int) -> datetime:
    """The point in time, in UTC."""
    return EPOCH + timedelta(microseconds=count)
