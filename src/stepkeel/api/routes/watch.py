"""What a database tells of itself, as Prometheus reads it: facts of the database, the same whichever process is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from litestar import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from stepkeel.access.identity import ANY_TENANT
from stepkeel.api.caller import Asking, TheCore, caller_of
from stepkeel.api.route import get
from stepkeel.engine.query import LATEST, latest_failures
from stepkeel.model.breaker import BreakerRow
from stepkeel.store.port import DueRow, MetricRow, WorkerRow

__all__ = ["ROUTES"]

KIND = "text/plain; version=0.0.4"
MOST = 2_000  # series of one name: what many states of many versions would cost whoever keeps them


class _Facts(Collector):
    """Each fact becomes a gauge."""

    def __init__(self, tenant: str, now: int) -> None:
        self._tenant = tenant
        self._now = now
        self._found: list[GaugeMetricFamily] = []

    def instances(self, rows: Iterable[MetricRow]) -> None:
        series = [((r.definition, str(r.version), r.status, r.state), r.count) for r in rows]
        self._add("stepkeel_instances", "Instances", ("definition", "version", "status", "state"), series)

    def due(self, rows: Iterable[DueRow]) -> None:
        rows = list(rows)
        labels = ("definition", "version")
        counts = [((r.definition, str(r.version)), r.count) for r in rows]
        ages = [((r.definition, str(r.version)), max(0, self._now - r.since) / 1e6) for r in rows]
        self._add("stepkeel_due_instances", "Instances that wait for a worker to take them", labels, counts)
        self._add("stepkeel_due_oldest_seconds", "How long the first of them has waited", labels, ages)

    def failed(self, found: Mapping[tuple[str, str, str], int]) -> None:
        text = f"Of the {LATEST} instances that failed last"
        self._add("stepkeel_failed_latest", text, ("definition", "state", "code"), [*found.items()])

    def workers(self, rows: Iterable[WorkerRow]) -> None:
        alive = [r.expires_at >= self._now for r in rows]
        told = [(("alive",), alive.count(True)), (("dead",), alive.count(False))]
        self._add("stepkeel_workers", "Workers, by whether their lease holds", ("lease",), told)

    def breakers(self, rows: Iterable[BreakerRow]) -> None:
        told = [((r.name,), 0 if r.state == "closed" else 1) for r in rows]
        self._add("stepkeel_breaker_open", "Circuit breakers that let nothing, or one attempt, through", ("breaker",), told)

    def _add(self, name: str, text: str, labels: tuple[str, ...], series: Sequence[tuple[tuple[str, ...], float]]) -> None:
        family = GaugeMetricFamily(name, text, labels=("tenant", *labels))
        for values, number in sorted(series, key=lambda s: -s[1])[:MOST]:
            family.add_metric((self._tenant, *values), number)
        self._found.append(family)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._found


@get(
    "/metrics/prometheus",
    "The same as Prometheus reads it, and what waits for workers",
    "Of the caller's tenant; of all together, as tenant `*`, for who reaches any and names none",
    media_type=KIND,
)
async def get_prometheus(request: Asking, core: TheCore) -> Response[bytes]:
    every = ANY_TENANT in caller_of(request).identity.tenants and "X-Tenant" not in request.headers
    tenant = None if every else core.tenant
    store = core.store.within(tenant)
    facts = _Facts(tenant or ANY_TENANT, store.now())
    facts.instances(await store.metrics(tenant))
    facts.due(await store.due(tenant))
    facts.failed(await latest_failures(store, tenant))
    facts.workers(await store.workers())
    facts.breakers(await store.breakers())
    registry = CollectorRegistry()
    registry.register(facts)
    return Response(generate_latest(registry), media_type=KIND)


ROUTES = [get_prometheus]
