"""The store port. Each docstring is the contract; tests/contract runs one suite over every store.

Everything that changes an instance goes through `commit`, fenced by (owner, epoch, revision); claims, takeovers and
retention only move rows. Instants are integer microseconds, UTC. Errors: Unavailable when the database does not answer
(nothing is known then of what was sent), anything else as named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from stepkeel.model.act import Act
from stepkeel.model.commit import Answer, Batch, Commit, HistoryRow, InboxRow, PoolRow, Row, TicketRow
from stepkeel.model.task import TaskRow
from stepkeel.store.fact import DueRow, Facts, MetricRow, Remark, Upgrade
from stepkeel.store.feed import Feed
from stepkeel.store.outbox import Outbox
from stepkeel.store.shared import SharedStore

__all__ = [
    "Claims",
    "DefinitionRow",
    "DueRow",
    "Fence",
    "Grants",
    "Held",
    "MetricRow",
    "Pulse",
    "Query",
    "Remark",
    "Store",
    "TaskQuery",
    "Transaction",
    "Upgrade",
    "Wanted",
    "WorkerRow",
    "nobody",
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A definition and version that a worker has registered."""

    definition: str
    version: int


Held = Callable[[], Mapping[str, int]]  # how many instances of each tenant a worker has; asked where it matters


def nobody() -> Mapping[str, int]:
    return {}


@dataclass(frozen=True, slots=True)
class Claims:
    """Rows now owned, the database's time of the claim, and when the next wanted row is due (None: none in sight).

    left   tenants known to have had more due rows than there was room for, all together
    """

    now: int
    rows: tuple[Row, ...]
    next_wake: int | None
    left: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Grants:
    """How many slots were given, to rows of which owners, and when the next slot of a rate is free (None: none in sight)."""

    count: int
    owners: frozenset[str | None] = frozenset()
    next_at: int | None = None


@dataclass(frozen=True, slots=True)
class Fence:
    owner: str | None
    epoch: int
    revision: int
    status: str


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A live worker. `id` is made anew at each process start and never used twice."""

    id: str
    name: str
    capabilities: str
    started_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class DefinitionRow:
    tenant: str
    name: str
    version: int
    shape: str
    code: str
    document: bytes
    status: str = "active"


@dataclass(frozen=True, slots=True)
class Query:
    """What to list. Every field narrows; empty ones do not. `state` matches the state's name or its label.

    `after` is the (sort value, id) of the last row of the page before. Times are half-open: from <= t < to.
    """

    tenant: str | None = None
    ids: tuple[str, ...] = ()
    definition: str | None = None
    version: int | None = None
    status: tuple[str, ...] = ()
    state: str | None = None
    correlation_id: str | None = None
    key: str | None = None
    parent: str | None = None
    created_from: int | None = None
    created_to: int | None = None
    updated_from: int | None = None
    updated_to: int | None = None
    completed_from: int | None = None
    completed_to: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    fault: bool | None = None
    archived: bool = False
    sort: Literal["created", "updated"] = "created"
    descending: bool = False
    after: tuple[int, str] | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which tasks to list. Every field narrows; empty ones do not. Times are half-open: from <= t < to.

    person   theirs: they are its assignee, one of its candidates, or have claimed it; roles: theirs too, where nobody else
             is its assignee
    text     its title contains this, whatever the case
    sort     by when they were opened, or by when they are due (those that never are come last)
    after    the (sort value, id) of the last row of the page before
    """

    tenant: str | None = None
    ids: tuple[str, ...] = ()
    instance_id: str | None = None
    definition: str | None = None
    status: tuple[str, ...] = ()
    person: str | None = None
    roles: tuple[str, ...] = ()
    role: str | None = None
    assignee: str | None = None
    claimed_by: str | None = None
    due_from: int | None = None
    due_to: int | None = None
    text: str | None = None
    sort: Literal["opened", "due"] = "opened"
    after: tuple[int, str] | None = None
    limit: int = 100


class Pulse(Protocol):
    """A worker's row kept alive from a thread of its own, over a connection of its own."""

    def renew(self, worker: str, lease: int) -> bool:
        """The lease begins anew and lasts so many microseconds. False: no such row, the worker is dead. Raises Unavailable."""
        ...

    def close(self) -> None: ...


class Transaction(Protocol):
    """What a transactional activity writes in. Ended by one of `commit` and `rollback`, which are the only ways out."""

    connection: Any

    async def check(self) -> None:
        """Ask what the database would otherwise ask at the commit (deferred constraints). Raises the driver's error."""
        ...

    async def commit(self, commit: Commit) -> bool:
        """Apply the step as the last statement and commit all. False: its row did not match, all was rolled back.

        Raises Unavailable (nothing is known), DataInvalid (rolled back).
        """
        ...

    async def rollback(self) -> None: ...

    def transient(self, error: BaseException) -> bool:
        """True for an error of the database that trying the whole again may help against: a deadlock, a lost race."""
        ...


class Store(Feed, Outbox, Facts, SharedStore, Protocol):
    """`batch_rows`: the size of a batch beyond which this store gains nothing. `transactional`: it has `begin`."""

    url: str
    batch_rows: int
    transactional: bool

    async def open(self, *, make: bool = True) -> None:
        """Connect; make the tables in an empty database, unless `make` is False.

        Raises Unavailable, DatabaseInvalid (no database, or not ours), SchemaTooNew.
        """
        ...

    async def upgrade(self) -> Upgrade:
        """Bring the tables to this release's version, without `open`. Raises what `open` does."""
        ...

    async def check(self) -> Sequence[Remark]:
        """What an operator should know of this database, opened before."""
        ...

    async def close(self) -> None: ...

    def within(self, tenant: str | None) -> Store:
        """The same store for what a request of this tenant asks, shared with others and not to be closed.

        One that has a second wall shows no rows of other tenants there, whatever it is asked. None: the store of them all.
        """
        ...

    def now(self) -> int:
        """The database's time: the only clock that is compared."""
        ...

    def pulse(self) -> Pulse: ...

    def version(self) -> int | None:
        """A number that moves when somebody else has written: a hint that costs no query. None where nothing tells."""
        ...

    def listen(self, heard: Callable[[str | None], None]) -> None:
        """Call `heard` on this loop when another process tells of something. A hint: it may come late, twice or never.

        With a worker's id: its residents have something in their inbox. None: work is due for whoever has room.
        """
        ...

    def tell(self, worker: str | None) -> None:
        """Tell other processes, as `listen` hears it, some time soon."""
        ...

    # -- workers

    async def add_worker(self, worker: WorkerRow) -> None:
        """Its lease begins now and lasts from its `started_at` to its `expires_at`. Again: the lease begins anew."""
        ...

    async def remove_worker(self, worker: str) -> None: ...

    async def workers(self) -> list[WorkerRow]: ...

    async def bury(self) -> list[str]:
        """Delete the rows of workers whose lease is over: they are dead from then on. Their ids."""
        ...

    async def take_over(self, limit: int) -> list[str]:
        """Free at most `limit` rows whose owner has no row in `workers`, whatever their status. Their ids.

        Each gets owner = null, wake_at = now, epoch + 1, takeovers + 1.
        """
        ...

    # -- claims

    async def claim(self, worker: str, wanted: Sequence[Wanted], limit: int, held: Held = nobody, spare: int = 0) -> Claims:
        """Take due rows of the wanted definitions: owner = worker, epoch + 1, wake_at = null.

        Every priority that has due rows gets at least one slot of the limit. Where more is due than that, each slot of a
        priority goes to the tenant that `held` says has fewest, and at most `spare` more to those with none (store/share.py).
        Nothing is claimed for a worker without a row in `workers`. With `limit` 0 it only tells the time and what is due next.
        """
        ...

    async def owned(self, worker: str) -> dict[str, int]:
        """Ids and epochs of the rows that name this worker."""
        ...

    async def news(self, worker: str) -> dict[str, int]:
        """Rows of this worker with unread inbox: id -> inbox."""
        ...

    async def give_back(self, worker: str, rows: Mapping[str, int]) -> int:
        """Free rows (id -> epoch) that still name this worker with that epoch: owner = null, wake_at = now, epoch + 1."""
        ...

    # -- pools

    async def grant(self, limit: int) -> Grants:
        """Give free slots to those that wait first, in rank order, and put a grant into the inbox of each. At most `limit`.

        One transaction; whoever does it holds the pools it looks at, others pass them over. Tickets of instances that have
        ended or are gone are removed.
        """
        ...

    async def pools(self, tenant: str | None, name: str | None, after: str, limit: int) -> list[PoolRow]:
        """Pools with tickets (of that tenant, None: of any), in order of their names; or that one alone."""
        ...

    async def pool(self, name: str, limit: int = 100) -> list[TicketRow]:
        """Those that hold slots of a pool, then those that wait, in order."""
        ...

    async def tickets(self, instance_id: str) -> list[TicketRow]:
        """What an instance holds or waits for."""
        ...

    # -- the one write verb

    async def commit(self, batch: Batch) -> Answer:
        """Apply a batch in one transaction.

        A start inserts its key, and where that is new the instance with its history; it answers with the id that holds
        the key. Sent again, it answers with its own id and changes nothing. A commit whose (owner, epoch, revision) do
        not match leaves the row untouched and answers False. What a step that was applied begins (`children`), sends
        (`sent`) and asks of people (`opened`, `changed`) is applied with it; what it sends to an ended or missing instance
        is dropped. A delivery counts the inbox up, sets the wake-up (when not owned, and not paused unless it is a control
        request) and inserts its row; the same kind, name and key again returns the first receipt. The `act` of what was applied
        is appended to the audit log, once. Raises Unavailable, or DataInvalid when the content is refused: nothing was applied.
        """
        ...

    async def begin(self) -> Transaction:
        """A transaction for an activity, on a connection of its own. Raises Unavailable."""
        ...

    async def fences(self, ids: Sequence[str]) -> dict[str, Fence]:
        """Who owns these rows and at which revision: to read back what became of a lost answer."""
        ...

    # -- the inbox

    async def inbox(self, after: Mapping[str, int], limit: int = 100) -> dict[str, tuple[int, list[InboxRow]]]:
        """For each id its inbox counter, read before (or with) its pending rows beyond a seq, in arrival order."""
        ...

    async def signals(self, instance_id: str) -> list[InboxRow]:
        """All inbox rows of an instance, archived ones too."""
        ...

    # -- reading

    async def load(self, ids: Sequence[str]) -> dict[str, Row]:
        """Rows by id, archived ones too."""
        ...

    async def list(self, query: Query) -> list[Row]: ...

    async def history(self, instance_id: str, after: int = 0, limit: int = 10_000) -> list[HistoryRow]: ...

    async def find_key(self, tenant: str, definition: str, key: str) -> str | None: ...

    async def tasks(self, query: TaskQuery) -> Sequence[TaskRow]:
        """Tasks that match, closed ones too, in the order of the query."""
        ...

    # -- definitions

    async def definitions(self) -> list[DefinitionRow]: ...

    async def put_definition(self, row: DefinitionRow, act: Act | None = None) -> None: ...

    # -- retention

    async def archive(self, query: Query, act: Act | None = None) -> int:
        """Move at most `query.limit` terminal instances that match into the archive, with history and inbox; how many.

        One transaction. Rows that others are just working on are passed over. Their start keys stay.
        """
        ...

    async def purge(self, query: Query, act: Act | None = None) -> int:
        """Delete at most `query.limit` terminal instances that match, with history, inbox, tasks and start key."""
        ...
