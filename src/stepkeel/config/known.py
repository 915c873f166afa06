"""Every setting there is: name, kind, default, meaning. Files, the environment, `config show` and docs read this table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from stepkeel.runtime.settings import Settings

__all__ = ["KNOWN", "PREFIX", "Known"]

PREFIX = "STEPKEEL_"
Kind = Literal["text", "number", "span", "flag"]


@dataclass(frozen=True, slots=True)
class Known:
    """A setting. `serve.port` is `port` under `[serve]` of a file, and STEPKEEL_SERVE_PORT.

    kind      text, a whole number, a span (seconds, or a text like `30d`; kept as seconds), a flag
    secret    not told by `config show`
    never     a span that may also be `never`
    """

    name: str
    kind: Kind
    default: Any
    means: str
    secret: bool = False
    choices: tuple[str, ...] = ()
    never: bool = False

    @property
    def variable(self) -> str:
        return PREFIX + self.name.replace(".", "_").upper()


_SPANS: dict[str, str] = {
    "lease": "how long a worker counts as alive after its last renewal",
    "margin": "the trust window ends this long before the lease",
    "stall_limit": "an event loop that has not ticked for this long is not vouched for",
    "grace": "how long attempts that were told to stop, or a shutdown, may take",
    "poll_min": "the shortest pause between looks at the database",
    "poll_max": "the longest",
    "patience": "how long a call tries an unavailable database",
}
_NEVER: dict[str, str] = {
    "archive_after": "what ended so long ago moves into the archive",
    "purge_after": "what ended so long ago is deleted from the archive",
    "audit_every": "between two pages of instances that are asked for their invariants",
}
_NUMBERS: dict[str, str] = {
    "concurrency": "instances a worker holds at a time; an eighth more for tenants that hold none",
    "max_takeovers": "a row taken over more often without any commit is set aside",
    "max_snapshot": "bytes; an instance whose snapshot grows beyond is set aside",
    "inbox_limit": "unread signals an instance may have",
}


def _of_workers() -> list[Known]:
    """The settings of a worker, with their own defaults; `heartbeat` is for harnesses alone."""
    defaults = {f.name: f.default for f in fields(Settings)}
    found = [Known(f"worker.{n}", "number", defaults[n], means) for n, means in _NUMBERS.items()]
    found += [Known(f"worker.{n}", "span", defaults[n], means) for n, means in _SPANS.items()]
    return found + [Known(f"worker.{n}", "span", defaults[n], means, never=True) for n, means in _NEVER.items()]


KNOWN: dict[str, Known] = {
    each.name: each
    for each in (
        Known("database", "text", None, "database URL"),
        Known("server", "text", None, "address of a server, which commands ask instead of a database"),
        Known("key", "text", None, "an API key, or a token, for that server", secret=True),
        Known("tenant", "text", "default", "whose instances commands see"),
        Known(
            "keyring", "text", None, "what instances are encrypted with: name:base64 of 32 bytes, the first is current", secret=True
        ),
        Known("worker.name", "text", "", "shown in lists of workers; default: host:pid"),
        Known("worker.health", "text", None, "HOST:PORT for GET /livez and /readyz of a worker"),
        *_of_workers(),
        Known("serve.host", "text", "127.0.0.1", "address to listen on"),
        Known("serve.port", "number", 8080, "port to listen on; 0: any that is free"),
        Known("serve.access", "text", None, "who is let in: `keys`, or module:name of an Access"),
        Known("serve.writes_per_minute", "number", 100, "of each identity, in one process; 0: as many as they like"),
        Known("serve.request_timeout", "span", 30.0, "until an answer has to have begun, else 503", never=True),
        Known("serve.worker", "flag", True, "run workflows in the process that serves, too"),
        Known("serve.console", "flag", True, "the web console, at `/`"),
        Known("serve.tracing", "flag", False, "a span of OpenTelemetry for each request"),
        Known("serve.trust_network", "flag", False, "without access: whoever reaches it may do everything"),
        Known("log.level", "text", "info", "of a worker and a server", choices=("debug", "info", "warning", "error")),
        Known("log.format", "text", "text", "lines for people, or one JSON object a line", choices=("text", "json")),
    )
}
