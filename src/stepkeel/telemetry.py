"""Traces by OpenTelemetry: a trace for each instance, a span for each attempt. Nothing of it is stored.

An instance's trace is made out of its id: so attempts months apart, on workers that know nothing of each other, stand in one
trace, and whoever has the id knows where to look. What began or signalled it, in a trace of its own, links to it.

| where | what |
|---|---|
| an attempt (`Tracing` among the behaviours) | a span in the instance's trace; current within the activity, in threads, too |
| a child's attempt | the same in the child's trace, with a link to its parent's |
| a start, a signal within a span (of a request, say) | that span links to the instance's trace and has its id |
| `http.request`, `stepkeel.Client` | send `traceparent` of the span that is current |
| a message of the outbox | has the `traceparent` of its instance's trace |
| a line of a JSON log | has the ids of the span that is current |
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from stepkeel.extra import needing
from stepkeel.model.trace import trace_of

__all__ = ["NAMES", "Tracing", "current_ids", "inject", "link"]

# Every name there is. Those of the semantic conventions of OpenTelemetry say nothing of workflows.
NAMES = {
    "instance_id": "stepkeel.instance.id",
    "definition": "stepkeel.definition.name",
    "version": "stepkeel.definition.version",
    "state": "stepkeel.state",
    "node": "stepkeel.path",
    "kind": "stepkeel.attempt.kind",
    "attempt": "stepkeel.attempt",
    "tenant": "stepkeel.tenant",
    "outcome": "stepkeel.outcome",
}
_TOLD = ("instance_id", "definition", "version", "state", "node", "kind", "attempt", "tenant")


def _context(api: Any, instance_id: str) -> Any:
    trace, span = trace_of(instance_id)
    return api.SpanContext(trace, span, is_remote=True, trace_flags=api.TraceFlags(api.TraceFlags.SAMPLED))


def _api() -> Any:
    """Where somebody has imported it; else there is no span, and nothing to be done."""
    return sys.modules.get("opentelemetry.trace")


def link(instance_id: str) -> None:
    """The span that is current has to do with this instance."""
    api = _api()
    span = None if api is None else api.get_current_span()
    if span is not None and span.is_recording():
        span.set_attribute(NAMES["instance_id"], instance_id)
        span.add_link(_context(api, instance_id))


def inject(headers: MutableMapping[str, Any]) -> None:
    """`traceparent`, and whatever else is propagated, of the span that is current."""
    if _api() is not None:
        from opentelemetry.propagate import inject as propagated

        propagated(headers)


def current_ids() -> dict[str, str]:
    """Of the span that is current, as logs name them; none where there is none."""
    api = _api()
    found = None if api is None else api.get_current_span().get_span_context()
    if found is None or not found.is_valid:
        return {}
    return {"trace_id": f"{found.trace_id:032x}", "span_id": f"{found.span_id:016x}"}


class Tracing:
    """A behaviour: a span around every attempt. Put it first, so that the others are within it.

    provider   of tracers; None: the one that the program has set, as `opentelemetry-instrument` does
    Its sampler decides which are recorded; the same for all attempts of an instance, for it looks at the trace's id.
    Raises BadRequest where OpenTelemetry is not installed.
    """

    def __init__(self, provider: Any = None) -> None:
        with needing("opentelemetry", "tracing", "otel"):
            from opentelemetry import trace
        self._api: Any = trace
        self._tracer: Any = trace.get_tracer("stepkeel", tracer_provider=provider)

    async def __call__(self, invocation: Any, call_next: Callable[[], Awaitable[Any]]) -> Any:
        api = self._api
        links = [api.Link(_context(api, invocation.parent))] if invocation.parent else []
        told = {NAMES[name]: value for name in _TOLD if (value := getattr(invocation, name)) != ""}
        parent = api.set_span_in_context(api.NonRecordingSpan(_context(api, invocation.instance_id)))
        with self._tracer.start_as_current_span(
            invocation.activity, context=parent, links=links, attributes=told, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                result = await call_next()
            except asyncio.CancelledError:
                span.set_attribute(NAMES["outcome"], "stopped")
                raise
            except Exception as error:
                # Its code or class, and no message: the history has that, and who may read it is known there.
                span.set_attribute(NAMES["outcome"], "failed")
                span.set_status(api.Status(api.StatusCode.ERROR, str(getattr(error, "code", type(error).__name__))))
                raise
            outcome = type(result).__name__ if type(result).__module__ == "stepkeel.model.outcome" else "done"
            span.set_attribute(NAMES["outcome"], outcome)
            if outcome == "Fail":
                span.set_status(api.Status(api.StatusCode.ERROR, result.code))
            return result
