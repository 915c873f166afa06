"""A worker's own figures, as Prometheus reads them: what no database knows. Those of the database are told by the API."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import Any

from stepkeel.extra import needing
from stepkeel.runtime.committer import BOUNDS
from stepkeel.runtime.worker import Worker

__all__ = ["KIND", "figures"]

KIND = "text/plain; version=0.0.4; charset=utf-8"


def figures(worker: Worker) -> bytes:
    """Raises BadRequest where prometheus-client is not installed."""
    with needing("prometheus_client", "figures for Prometheus", "server"):
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, SummaryMetricFamily
    stats = worker.committer.stats
    buckets = [*map(str, BOUNDS), "+Inf"]
    seconds = HistogramMetricFamily("stepkeel_commit_seconds", "How long a batch took to be durable")
    seconds.add_metric([], buckets=list(zip(buckets, accumulate(stats.took), strict=True)), sum_value=stats.seconds)
    ended = SummaryMetricFamily(
        "stepkeel_ended_seconds", "From start to end, of instances that ended at this worker", labels=["definition", "status"]
    )
    for place, (count, sum_) in worker.ends.seen.items():
        ended.add_metric(place, count_value=count, sum_value=sum_)
    found: list[Any] = [
        seconds,
        ended,
        CounterMetricFamily("stepkeel_committed_rows", "Starts, steps and deliveries made durable", value=stats.rows),
        GaugeMetricFamily("stepkeel_held_instances", "Instances in this worker's memory", value=len(worker.residents)),
    ]

    class Told:
        def collect(self) -> Iterable[Any]:
            return found

    registry = CollectorRegistry()
    registry.register(Told())  # pyright: ignore[reportArgumentType]
    return generate_latest(registry)
