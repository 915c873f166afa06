"""How a worker works. Spans are seconds; the defaults are those of docs/reference/settings.md."""

from __future__ import annotations

from dataclasses import dataclass

from stepkeel.errors import BadRequest

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """
    concurrency   instances a worker holds at a time; an eighth more for tenants that hold none, one each
    lease         how long a worker counts as alive after its last renewal; renewed every third of it
    margin        the trust window ends this long before the lease
    stall_limit   an event loop that has not ticked for this long is not vouched for: the lease is let go
    grace         how long attempts that were told to stop, or a shutdown, may take
    poll_min, poll_max  pause between looks at the database, backing off while nothing comes
    max_takeovers a row taken over more often without any commit is set aside: it kills its workers
    max_snapshot  bytes; an instance whose snapshot grows beyond is set aside
    inbox_limit   unread signals an instance may have
    patience      how long an engine call tries an unavailable database
    archive_after seconds after which what has ended (failed instances aside) moves into the archive; None: never
    purge_after   seconds after its end at which what lies in the archive is deleted for good; None: never
    audit_every   seconds between two pages of instances that are asked for their invariants; None: never
    """

    concurrency: int = 1_000
    lease: float = 5.0
    margin: float = 1.0
    stall_limit: float = 2.0
    grace: float = 30.0
    poll_min: float = 0.02
    poll_max: float = 1.0
    max_takeovers: int = 5
    max_snapshot: int = 1_048_576
    inbox_limit: int = 10_000
    patience: float = 10.0
    archive_after: float | None = None
    purge_after: float | None = None
    audit_every: float | None = 60.0
    heartbeat: bool = True

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise BadRequest(f"concurrency={self.concurrency}", remedy="at least 1")
        if not 0 < self.margin < self.lease:
            raise BadRequest(f"lease={self.lease}, margin={self.margin}", remedy="0 < margin < lease")
