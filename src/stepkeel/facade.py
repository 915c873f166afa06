"""class Engine: a line a method, and the composition root: the only place that names a concrete store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.view import Authored
from stepkeel.clock import Clock, SystemClock
from stepkeel.config.url import parse_url
from stepkeel.engine import query
from stepkeel.engine.audit import Audit
from stepkeel.engine.core import Core
from stepkeel.engine.deploy import OnChange, check_transactions, deploy, registry
from stepkeel.engine.doctor import OVERDUE, Report, doctor
from stepkeel.engine.instance import Instance
from stepkeel.engine.result import Entry, InboxEntry, Info, Result, Timer
from stepkeel.engine.start import Options, pairs_of, start, start_all
from stepkeel.engine.task import Tasks
from stepkeel.engine.tiers import Tenants, Tiers
from stepkeel.engine.verbs import Verbs
from stepkeel.engine.wait import result_of
from stepkeel.errors import BadRequest, NotFinished
from stepkeel.extra import needing
from stepkeel.ids import IdMaker
from stepkeel.kernel.explain import Explanation
from stepkeel.model.definition import Definition
from stepkeel.model.snapshot import TERMINAL
from stepkeel.runtime.behaviour import Behaviour
from stepkeel.runtime.binding import Binding
from stepkeel.runtime.process import Process, bind_all
from stepkeel.runtime.services.deliverer import Sink
from stepkeel.runtime.services.heartbeat import Heartbeat
from stepkeel.runtime.settings import Settings
from stepkeel.runtime.worker import Worker
from stepkeel.store.keyring import Keyring
from stepkeel.store.memory import MemoryStore
from stepkeel.store.port import MetricRow, Store
from stepkeel.store.sealed import check_readable, keep_sealed

if TYPE_CHECKING:
    from stepkeel.access.key import Keys

__all__ = ["Engine", "open_store"]

D = TypeVar("D")
_shared: dict[str, MemoryStore] = {}


def open_store(url: str, clock: Clock, patience: float = 10.0) -> Store:
    """The store that a URL names, not yet opened. Raises BadRequest."""
    database = parse_url(url)
    if database.kind == "memory":
        made = MemoryStore(url, clock)
        return _shared.setdefault(database.place, made) if database.place else made
    if database.kind == "postgresql":
        return _postgres(url, clock, patience)
    from stepkeel.store.sqlite.store import SqliteStore

    return SqliteStore(database.place, url, clock)


def _postgres(url: str, clock: Clock, patience: float) -> Store:
    with needing("asyncpg", "PostgreSQL", "postgres"):
        from stepkeel.store.postgres.store import PostgresStore
    # The server's clock is the one that counts; only a test's own stands above it.
    return PostgresStore(url, None if isinstance(clock, SystemClock) else clock, patience)


class Engine(Verbs, Tasks):
    """Starts, runs, signals and reads workflows on one database. Use it as `async with Engine(...) as engine:`.

    url          memory://, memory://name (shared in this process), sqlite:///file.db, postgresql://host/db
    workflows    classes or definitions; several versions of one name may stand side by side
    services     by type: what activities ask for; `scoped(factory)` makes one for each attempt
    behaviours   wrappers around every attempt, the first outermost
    sinks        by topic (`*`: any other): what messages are given to; a plain function among them must not block
    worker       False: a client that starts, signals and reads, and leaves the work to others
    concurrency  instances held at a time; default 1,000
    tenant       whose instances are started and seen; default "default"
    tenants      what each tenant may use: tiers, or their names, by tenant (`*`: all others), or a function of the tenant;
                 default: as much as they like
    keyring      what instances are encrypted with in the database; default: they are not
    on_change    a definition whose shape differs from the one stored while instances live on it: "refuse" or "replace"
    strict       refuse changed guards and mappings too
    settings     the rest of a worker's settings
    Opening raises Unavailable, DatabaseInvalid, SchemaTooNew, DefinitionChanged, ServiceMissing.
    """

    # What a simulation puts its own in place of.
    _bind_all: Callable[..., dict[Any, Binding]] = staticmethod(bind_all)
    _make_ids: Callable[[], IdMaker] = IdMaker
    _check_store: Callable[[Store], Awaitable[None]] = staticmethod(check_readable)
    _make_heartbeat: Callable[[Worker], Heartbeat] = Heartbeat

    def __init__(
        self,
        url: str,
        workflows: Iterable[type[Workflow[Any]] | Authored[Any] | Definition] = (),
        services: Mapping[Any, Any] | None = None,
        *,
        behaviours: Sequence[Behaviour] = (),
        sinks: Mapping[str, Sink] | None = None,
        worker: bool = True,
        concurrency: int | None = None,
        tenant: str = "default",
        tenants: Tenants | None = None,
        keyring: Keyring | None = None,
        on_change: OnChange = "refuse",
        strict: bool = False,
        settings: Settings | None = None,
        name: str = "",
        clock: Clock | None = None,
        store: Store | None = None,
    ) -> None:
        self.url = url
        self._clock: Clock = clock or SystemClock()
        workflows = tuple(workflows)
        self._given: dict[str, Any] = {
            "workflows": workflows, "services": services, "behaviours": behaviours, "tenant": tenant, "on_change": on_change,
            "tenants": tenants, "keyring": keyring, "name": name, "strict": strict, "clock": clock, "sinks": sinks,
        }  # fmt: skip
        self._definitions = registry(workflows)
        self._services: Mapping[Any, Any] = services if services is not None else {}
        self._bindings = self._bind_all(self._definitions, self._services)
        settings = settings or Settings()
        self._settings = settings if concurrency is None else replace(settings, concurrency=concurrency)
        self._store = keep_sealed(store or open_store(url, self._clock, self._settings.patience), keyring)
        self._behaviours = tuple(behaviours)
        self._polls = worker
        self._tenant = tenant
        self._tiers = Tiers(tenants)
        self._on_change: OnChange = on_change
        self._strict = strict
        self._name = name
        self._core: Core | None = None
        self._process: Process | None = None

    # -- life

    async def open(self) -> Engine:
        """What entering the context does: connect, register definitions, start the worker."""
        check_transactions(self._definitions.values(), self._store)
        # Who only looks makes no tables: a mistyped URL would otherwise leave some behind.
        await self._store.open(make=self._polls or bool(self._definitions))
        try:
            await self._check_store(self._store)
            ids = self._make_ids()
            core = Core(
                self._store, None, self._clock, ids, self._tenant, self._settings.patience,  # pyright: ignore[reportArgumentType]
                self._settings.inbox_limit, self._definitions, tiers=self._tiers,
            )  # fmt: skip
            await deploy(core, list(self._definitions.values()), self._on_change, strict=self._strict)
            process = Process(
                self._store, self._definitions, self._bindings, self._behaviours, self._settings, self._clock, ids, core.hub,
                name=self._name, heartbeat=self._make_heartbeat, core=core, sinks=self._given["sinks"],
            )  # fmt: skip
            process.use(self._services)
            core.committer = process.committer
            if self._polls:
                await process.register()
                core.host = process.worker
                if self._settings.heartbeat:
                    process.poll()
        except BaseException:
            await self._store.close()
            raise
        self._core, self._process = core, process
        return self

    async def close(self) -> None:
        """Finish or hand back what the worker holds, within its grace time; then disconnect."""
        process, self._process, self._core = self._process, None, None
        if process is not None:
            try:
                await process.stop()
            finally:
                await self._store.close()

    def elsewhere(self, url: str, *, settings: Settings | None = None, worker: bool | None = None, **given: Any) -> Engine:
        """An engine of the same, not yet opened, on another database, with other settings, or with others of its arguments."""
        polls = self._polls if worker is None else worker
        return Engine(url, **self._given | given, settings=settings or self._settings, worker=polls)

    @property
    def settings(self) -> Settings:
        """Its worker's."""
        return self._settings

    @property
    def definitions(self) -> Sequence[Definition]:
        """Those it was given."""
        return list(self._definitions.values())

    async def __aenter__(self) -> Engine:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def is_open(self) -> bool:
        return self._core is not None

    def core(self) -> Core:
        """What the verbs work with; for harnesses. Raises BadRequest while the engine is not open."""
        if self._core is None:
            raise BadRequest("the engine is not open", remedy="async with Engine(...) as engine:")
        return self._core

    async def register(self, *workflows: type[Workflow[Any]] | Authored[Any] | Definition) -> None:
        """Add workflows to an open engine. Raises DefinitionChanged, ServiceMissing, BadRequest: none is added then."""
        core = self.core()
        new = {p: d for p, d in registry(workflows).items() if self._definitions.get(p) is not d}
        bindings = self._bind_all(new, self._services)
        await deploy(core, list(new.values()), self._on_change, strict=self._strict)
        self._definitions.update(new)
        self._bindings.update(bindings)
        await self.process.worker.serve(new)

    def asgi(self, *, console: bool = False, **options: Any) -> Any:
        """An ASGI application of the REST API, which opens and closes this engine unless it is open.

        access: an `Access`; left out, everybody may do everything. hosts: names it answers to; default any. console: the web
        console, too, at `/`. Raises BadRequest.
        """
        with needing("litestar", "the REST API", "server"):
            from stepkeel.api.app import make_app
            from stepkeel.console.site import routes
        return make_app(self, pages=routes() if console else (), **options)

    @property
    def process(self) -> Process:
        """The worker's parts, for harnesses and benchmarks."""
        self.core()
        assert self._process is not None
        return self._process

    @property
    def store(self) -> Store:
        return self._store

    @property
    def keys(self) -> Keys:
        """The API keys of its tenant, and those that reach any: made, listed, rotated, revoked."""
        from stepkeel.access.key import Keys

        return Keys(self.core)

    @property
    def audit(self) -> Audit:
        """The audit log of its tenant: who did what."""
        return Audit(self.core)

    # -- starting

    async def start(
        self,
        workflow: type[Workflow[D]] | Authored[D] | Definition | str,
        data: D | Mapping[str, Any],
        *,
        key: str | None = None,
        version: int | None = None,
        correlation_id: str | None = None,
        priority: int = 2,
        attributes: Mapping[str, Any] | None = None,
        actor: str = "",
    ) -> Instance[D]:
        """Start an instance; durable when this returns. The same `key` again returns the first, `created` False.

        data            a value of the workflow's type, or a mapping of its fields
        priority        0 first to 4 last
        attributes      texts, numbers, booleans to search by
        Raises DataInvalid, UnknownWorkflow, BadRequest (nothing stored), Unavailable.
        """
        core = self.core()
        definition = core.definition_of(workflow, version)
        options = Options(key, correlation_id, priority, attributes, actor)
        answer = await start(core, definition, data, options)
        return Instance(self.core, answer.id, definition, created=answer.created)

    async def start_many(
        self,
        workflow: type[Workflow[D]] | Authored[D] | Definition | str,
        data: Iterable[D | Mapping[str, Any]] | Mapping[str, D | Mapping[str, Any]],
        *,
        version: int | None = None,
        priority: int = 2,
        correlation_id: str | None = None,
    ) -> list[Instance[D]]:
        """Start many at once, in few commits. A mapping gives each its key. All data is checked before anything is stored.

        Raises DataInvalid (nothing stored), Unavailable (some may be stored: with keys the call can be repeated).
        """
        core = self.core()
        definition = core.definition_of(workflow, version)
        wanted = [(each, Options(key, correlation_id, priority)) for key, each in pairs_of(data)]
        answers = await start_all(core, definition, wanted)
        return [Instance(self.core, a.id, definition, created=a.created) for a in answers]

    async def run(
        self,
        workflow: type[Workflow[D]] | Authored[D] | Definition | str,
        data: D | Mapping[str, Any],
        *,
        version: int | None = None,
        **options: Any,
    ) -> Result[D]:
        """Start and execute here, until it ends. Raises NotFinished if it has to wait; it goes on all the same."""
        core, process = self.core(), self.process
        definition = core.definition_of(workflow, version)
        if not process.registered:
            process.worker.room.claiming = False
            await process.register()
            core.host = process.worker
        answer = await start(core, definition, data, Options(**options), inline=True)
        if answer.rest is not None:
            await answer.rest
        row = await core.row(answer.id)
        if row.status not in TERMINAL:
            raise NotFinished(
                f"{answer.id} waits in {row.state or row.status}",
                instance_id=answer.id,
                remedy="it goes on when what it waits for comes",
            )
        return result_of(row, definition)

    # -- one instance

    @overload
    def instance(self, instance_id: str, workflow: type[Workflow[D]] | Authored[D]) -> Instance[D]: ...
    @overload
    def instance(self, instance_id: str, workflow: None = None) -> Instance[Any]: ...
    def instance(self, instance_id: str, workflow: Any = None) -> Instance[Any]:
        """A handle on an instance. With its workflow it is typed; nothing is asked yet."""
        definition = None if workflow is None else self.core().definition_of(workflow)
        return Instance(self.core, instance_id, definition)

    async def get(self, instance_id: str) -> Info:
        return await query.get(self.core(), instance_id)

    async def history(self, instance_id: str) -> list[Entry]:
        return await query.history(self.core(), instance_id)

    async def signals(self, instance_id: str) -> list[InboxEntry]:
        return await query.signals(self.core(), instance_id)

    async def timers(self, instance_id: str) -> list[Timer]:
        return await query.timers(self.core(), instance_id)

    async def data(self, instance_id: str, revision: int | None = None) -> dict[str, Any]:
        return await query.data(self.core(), instance_id, revision)

    async def explain(self, instance_id: str) -> Explanation:
        return await query.explanation(self.core(), instance_id)

    async def diagram(self, instance_id: str, format: Literal["svg", "mermaid"] = "svg") -> str:
        """A picture of its definition that shows where it stands, the way it took, and what failed. Raises NotFound, BadRequest."""
        return await query.diagram(self.core(), instance_id, format)

    # -- many

    async def list(
        self,
        *,
        sort: str = "created",
        descending: bool = False,
        limit: int = 100,
        cursor: str | None = None,
        archived: bool = False,
        **filters: Any,
    ) -> query.Page:
        """A page of instances. Filters: definition, version, status (one or several), state (name or label), key,

        parent, correlation_id, attributes, fault, created_from / _to, updated_from / _to, completed_from / _to (datetimes,
        half-open). `cursor` is the page's before. Raises BadRequest.
        """
        return await query.list_instances(self.core(), filters, sort, descending, limit, cursor, archived)

    async def metrics(self) -> Sequence[MetricRow]:
        """How many instances are in which status and state, by definition and version. Facts of the database."""
        return await query.metrics(self.core())

    async def doctor(self, *, histories: bool = True, fix: bool = False, overdue: float = OVERDUE) -> Report:
        """Ask every invariant of every instance, and what has been due or unread for longer than `overdue` seconds.

        `histories=False` leaves the folds out. `fix` repairs what is safe; each finding says what was done about it.
        """
        return await doctor(self.core(), histories=histories, fix=fix, overdue=overdue)
