"""Pure: how many operations are sent together. It follows what the last batches have shown."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry

# A single record that somebody else has locked is not a reason for small batches.
LOCKED_SHARE = 20  # one in so many
MIN_BATCH = 10  # operations: smaller batches are slow for reasons other than their size
STEPS = 20  # batches from the minimum to the maximum


class BatchSize(Struct, frozen=True):
    """The size of the next batch, in operations, and the largest size that the config allows."""

    most: int
    size: int

    @classmethod
    def of(cls, most: int) -> Self:
        """The size at the start."""
        return cls(most, most)

    def after(self, outcomes: Sequence[Outcome], took: timedelta, slow: timedelta) -> "BatchSize":
        """The size after a batch whose longest call `took` this long; a call of `slow` is too long (CrmTraits.slow_request).

        It is halved if that was slow or met locks or limits of triggers, and grows a little if it was good and full.
        """
        if len(outcomes) <= MIN_BATCH:
            return self
        crowded = sum(one.divided if isinstance(one, Delivered) else _crowded(one) for one in outcomes)
        if took > slow or crowded * LOCKED_SHARE >= len(outcomes):
            return replace(self, size=min(self.size, max(MIN_BATCH, self.size // 2)))
        if 2 * len(outcomes) >= self.size:
            return replace(self, size=min(self.most, self.size + max(1, self.most // STEPS)))
        return self


def _crowded(failed: Retry | Rejected) -> bool:
    """Whether the operation might have gone through among fewer others."""
    return isinstance(failed, Retry) and failed.reason in {Reason.ROW_LOCKED, Reason.TRIGGER_LIMIT}
