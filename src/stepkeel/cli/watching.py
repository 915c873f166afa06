"""What watches over a fleet: a dashboard for Grafana and rules for Prometheus, over the figures of API and workers.

| alert | when | severity |
|---|---|---|
| StepkeelFailing | over 5 % of what completed or failed in the last hour failed, of ten at least | critical |
| StepkeelBehind | what is due waits for a worker for more than a minute | critical |
| StepkeelNoWorker | instances are due, and no worker's lease holds | critical |
| StepkeelSlow | what completed in the last hour, ten at least, took twice as long as on average of the week before | warning |
| StepkeelSlowCommits | half of the commits of ten minutes took twice as long as in the day before, and 20 ms at least | warning |
| StepkeelBreakerOpen | a circuit breaker has been open for five minutes | warning |
| StepkeelDeadWorker | a worker's lease is over, and nobody has buried it | warning |
| StepkeelNewFailure | a failure code that was not there an hour ago | info |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["ALERTS", "alerts", "dashboard"]

_ENDED = "sum by (tenant, definition) (clamp_min(delta(stepkeel_instances{{status={0}}}[1h]), 0))"
_COMPLETED, _ALL = _ENDED.format('"completed"'), _ENDED.format('~"completed|failed"')
_FAILED = _ENDED.format('"failed"')


def _commits(quantile: float, span: str) -> str:
    return f"histogram_quantile({quantile}, sum by (le) (rate(stepkeel_commit_seconds_bucket[{span}])))"


def _lived(span: str) -> str:
    """Seconds from start to end of what completed, on average."""
    of = 'sum by (definition) (rate(stepkeel_ended_seconds_{}{{status="completed"}}[{}]))'
    return f"{of.format('sum', span)} / {of.format('count', span)}"


_COMPLETED_HERE = 'sum by (definition) (increase(stepkeel_ended_seconds_count{status="completed"}[1h]))'
ALERTS: Sequence[tuple[str, str, str, str, str]] = (  # name, expression, for, severity, summary
    (
        "StepkeelFailing",
        f"{_FAILED} / ({_ALL} >= 10) > 0.05",  # not by what completed: where all fails, there is no such series
        "5m",
        "critical",
        "{{ $labels.definition }}: {{ $value | humanizePercentage }} of what ended in the last hour failed",
    ),
    (
        "StepkeelBehind",
        "max by (tenant, definition) (stepkeel_due_oldest_seconds) > 60",
        "2m",
        "critical",
        "{{ $labels.definition }}: instances have been due for {{ $value | humanizeDuration }}; does any worker serve it?",
    ),
    (
        "StepkeelNoWorker",
        'sum(stepkeel_due_instances) > 0 and on() sum(stepkeel_workers{lease="alive"}) == 0',
        "1m",
        "critical",
        "instances are due and no worker runs",
    ),
    (
        "StepkeelSlow",
        f"({_lived('1h')} > 2 * ({_lived('1w')})) and {_COMPLETED_HERE} >= 10",
        "10m",
        "warning",
        "{{ $labels.definition }}: instances take {{ $value | humanizeDuration }}, twice as long as in the week before",
    ),
    (
        "StepkeelSlowCommits",
        f"{_commits(0.5, '10m')} > 2 * {_commits(0.5, '1d')} and {_commits(0.5, '10m')} > 0.02",
        "10m",
        "warning",
        "commits take {{ $value | humanizeDuration }}, twice as long as in the day before: is the database or its disk busy?",
    ),
    ("StepkeelBreakerOpen", "stepkeel_breaker_open > 0", "5m", "warning", "the breaker {{ $labels.breaker }} lets nothing through"),
    (
        "StepkeelDeadWorker",
        'stepkeel_workers{lease="dead"} > 0',
        "5m",
        "warning",
        "{{ $value }} workers have lost their lease, and nobody takes over: does any worker run?",
    ),
    (
        "StepkeelNewFailure",
        "stepkeel_failed_latest unless on (tenant, definition, state, code) (stepkeel_failed_latest offset 1h)",
        "0m",
        "info",
        "{{ $labels.definition }} fails in {{ $labels.state }} with {{ $labels.code }}, which it did not an hour ago",
    ),
)
_PANELS: Sequence[tuple[str, str, str, str]] = (  # title, unit, legend, expression
    ("Instances by status", "short", "{{status}}", "sum by (status) (stepkeel_instances)"),
    (
        "Where they stand",
        "short",
        "{{definition}} {{state}}",
        'sum by (definition, state) (stepkeel_instances{status!~"completed|cancelled|terminated"})',
    ),
    ("Completed in an hour, of those that completed or failed", "percentunit", "{{definition}}", f"{_COMPLETED} / ({_ALL} > 0)"),
    ("Failures, by code (of the latest 200)", "short", "{{definition}} {{state}} {{code}}", "stepkeel_failed_latest"),
    ("How long what completed took, on average", "s", "{{definition}}", _lived("1h")),
    ("Due, and held by nobody", "short", "{{definition}}", "sum by (definition) (stepkeel_due_instances)"),
    ("How long the first of them has waited", "s", "{{definition}}", "max by (definition) (stepkeel_due_oldest_seconds)"),
    ("Workers, by lease", "short", "{{lease}}", "sum by (lease) (stepkeel_workers)"),
    ("Held by each worker", "short", "{{instance}}", "stepkeel_held_instances"),
    ("Rows made durable a second", "short", "{{instance}}", "rate(stepkeel_committed_rows_total[5m])"),
    ("Commits: half of them are faster than", "s", "median", _commits(0.5, "5m")),
    ("Commits: 99 of 100 are faster than", "s", "p99", _commits(0.99, "5m")),
    ("Open breakers", "short", "{{breaker}}", "stepkeel_breaker_open > 0"),
)


def alerts() -> dict[str, Any]:
    """Rules as a file of Prometheus has them."""
    rules = [
        {"alert": name, "expr": expression, "for": span, "labels": {"severity": severity}, "annotations": {"summary": summary}}
        for name, expression, span, severity, summary in ALERTS
    ]
    return {"groups": [{"name": "stepkeel", "rules": rules}]}


def dashboard() -> dict[str, Any]:
    """A dashboard as Grafana imports it; it asks for the data source."""
    panels: list[dict[str, Any]] = [
        {
            "id": n + 1, "type": "timeseries", "title": title, "gridPos": {"h": 8, "w": 12, "x": 12 * (n % 2), "y": 8 * (n // 2)},
            "datasource": {"type": "prometheus", "uid": "${source}"},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "targets": [{"refId": "A", "expr": expression, "legendFormat": legend}],
        }
        for n, (title, unit, legend, expression) in enumerate(_PANELS)
    ]  # fmt: skip
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "title": "Stepkeel", "uid": "stepkeel", "schemaVersion": 39, "refresh": "30s", "time": {"from": "now-6h", "to": "now"},
        "tags": ["stepkeel"], "templating": {"list": [source]}, "panels": panels,
    }  # fmt: skip
