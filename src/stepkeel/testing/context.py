"""A Context for calling an activity as the plain callable it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from stepkeel.authoring.context import Context
from stepkeel.errors import SecretMissing

__all__ = ["FakeHost", "context"]

D = TypeVar("D")


class FakeHost:
    """Keeps what an activity recorded: `recorded` steps, `beats`, `lines` of log."""

    def __init__(self, steps: Mapping[str, Any] | None = None, secrets: Mapping[str, str] | None = None) -> None:
        self.secrets: Mapping[str, str] = secrets or {}  # by reference
        self.recorded: dict[str, msgspec.Raw] = {k: msgspec.Raw(msgspec.json.encode(v)) for k, v in (steps or {}).items()}
        self.beats: list[Any] = []
        self.lines: list[tuple[str, str]] = []

    def steps(self) -> Mapping[str, msgspec.Raw]:
        return self.recorded

    async def record_step(self, name: str, result: bytes) -> None:
        self.record_step_blocking(name, result)

    def record_step_blocking(self, name: str, result: bytes) -> None:
        self.recorded[name] = msgspec.Raw(result)

    def heartbeat(self, progress: bytes) -> None:
        self.beats.append(msgspec.json.decode(progress))

    def log(self, level: str, text: str) -> None:
        self.lines.append((level, text))

    def secret(self, reference: str) -> str:
        if reference not in self.secrets:
            raise SecretMissing(f"there is no {reference}", remedy="FakeHost(secrets={...})")
        return self.secrets[reference]


def context(
    data: D,
    input: Any = None,
    *,
    attempt: int = 1,
    done: Mapping[str, Any] | None = None,
    host: FakeHost | None = None,
    attributes: Mapping[str, Any] | None = None,
    correlation_id: str | None = None,
) -> Context[D, Any]:
    """`await reserve(context(order), payments)`: the data is the one given, not a copy; nothing is stored."""
    return Context(
        data,
        input,
        host or FakeHost(),
        instance_id="test-instance",
        node="state/activity",
        idempotency_key="test-instance/state/activity",
        attempt=attempt,
        definition="test",
        done=done,
        attributes=attributes,
        correlation_id=correlation_id,
    )
