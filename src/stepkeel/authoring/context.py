"""What an activity is given: its own copy of the data, its input, and the few things it may ask of the engine."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast, get_type_hints

import msgspec

from stepkeel.errors import PermanentError
from stepkeel.model.codec import to_json
from stepkeel.model.instant import from_micros

__all__ = ["Context", "Host"]

T = TypeVar("T")
if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultTypeVar

    D_co = DefaultTypeVar("D_co", covariant=True)
    I_co = DefaultTypeVar("I_co", covariant=True, default=Any)
else:
    D_co = TypeVar("D_co", covariant=True)
    I_co = TypeVar("I_co", covariant=True)


class Host(Protocol):
    """What carries an attempt: the executor, or a test."""

    def steps(self) -> Mapping[str, msgspec.Raw]: ...
    async def record_step(self, name: str, result: bytes) -> None: ...
    def record_step_blocking(self, name: str, result: bytes) -> None: ...
    def heartbeat(self, progress: bytes) -> None: ...
    def log(self, level: str, text: str) -> None: ...
    def secret(self, reference: str) -> str: ...


class Context(Generic[D_co, I_co]):
    """First parameter of every activity: `Context[Data]`, or `Context[Data, Input]` where the node is given something.

    data             the attempt's own copy; change it, or return new data
    input            what the node is given: the item of a for_each, the signal of a handler, the failure of a
                     failure reaction; else None. A compensation is given what the activity was that it undoes
    idempotency_key  the same for every attempt and takeover of this node; give it to services that can use one
    attempt          1 for the first
    instance_id, node, definition, version, correlation_id, attributes   where this runs
    now              time of the decision that started the attempt, UTC
    keys             of an activity that takes many: the idempotency key of each input, in their order
    done             in a compensation: the fields as its activity left them
    """

    __slots__ = (
        "_connection",
        "_data",
        "_host",
        "_input",
        "_now",
        "attempt",
        "attributes",
        "correlation_id",
        "definition",
        "done",
        "idempotency_key",
        "instance_id",
        "keys",
        "node",
        "version",
    )

    def __init__(
        self,
        data: Any,
        input: Any,
        host: Host,
        *,
        instance_id: str,
        node: str,
        idempotency_key: str,
        attempt: int = 1,
        definition: str = "",
        version: int = 1,
        correlation_id: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        now: int = 0,
        done: Mapping[str, Any] | None = None,
        connection: Any = None,
    ) -> None:
        self._data = data
        self._input = input
        self._host = host
        self._now = now
        self._connection = connection
        self.instance_id = instance_id
        self.node = node
        self.idempotency_key = idempotency_key
        self.keys: tuple[str, ...] = (idempotency_key,)
        self.attempt = attempt
        self.definition = definition
        self.version = version
        self.correlation_id = correlation_id
        self.attributes: Mapping[str, Any] = attributes or {}
        self.done: Mapping[str, Any] = done or {}

    if not TYPE_CHECKING:

        def __class_getitem__(cls, params: Any) -> Any:
            """`Context[Order]` is `Context[Order, Any]` (defaults of type variables came with Python 3.13)."""
            return super().__class_getitem__(params if isinstance(params, tuple) else (params, Any))

    @property
    def data(self) -> D_co:
        return cast("D_co", self._data)

    @property
    def input(self) -> I_co:
        return cast("I_co", self._input)

    @property
    def connection(self) -> Any:
        """The database connection of a `transactional` activity: what it writes is committed together with the step.

        It stands within a transaction that the engine ends. Raises PermanentError in any other activity.
        """
        if self._connection is None:
            raise PermanentError(f"{self.node} has no connection", remedy="say @activity(transactional=True)")
        return self._connection

    @property
    def now(self) -> datetime:
        return from_micros(self._now)

    def together(self, data: Any, inputs: list[Any], keys: list[str]) -> Context[Any, Any]:
        """The context of one call for several attempts (the engine's)."""
        made = copy.copy(self)
        made._data, made._input, made.keys = data, inputs, tuple(keys)
        return made

    async def step(self, name: str, fn: Callable[..., Awaitable[T] | T], *args: Any) -> T:
        """A checkpoint inside this activity: `fn(*args)` runs once and its result is durable.

        When the activity runs again, finished steps return what they returned before, from JSON, as the type that
        `fn` is annotated to return. Names are unique within the activity. Raises DataInvalid if JSON cannot hold it.
        """
        self._check_steps()
        known = self._host.steps().get(name)
        if known is not None:
            return cast("T", _read(bytes(known), fn))
        result = fn(*args)
        if inspect.isawaitable(result):
            result = await result
        raw = to_json(result)
        await self._host.record_step(name, raw)
        return cast("T", _read(raw, fn))

    def step_sync(self, name: str, fn: Callable[..., T], *args: Any) -> T:
        """`step` for activities that are not async: blocks its thread until the result is durable."""
        self._check_steps()
        known = self._host.steps().get(name)
        if known is not None:
            return cast("T", _read(bytes(known), fn))
        raw = to_json(fn(*args))
        self._host.record_step_blocking(name, raw)
        return cast("T", _read(raw, fn))

    def _check_steps(self) -> None:
        if len(self.keys) > 1:
            raise PermanentError(f"{self.node} takes many: a step of it is nobody's", remedy="leave out ctx.step, or batch=")
        if self._connection is not None:
            text = f"{self.node} is transactional: all it does is one step"
            raise PermanentError(text, remedy="leave out ctx.step, or transactional=True")

    def heartbeat(self, progress: Any = None) -> None:
        """Store how far a long activity is. Shown by `explain` and `show`; the lease does not depend on it."""
        self._host.heartbeat(to_json(progress))

    def secret(self, reference: str) -> str:
        """The value of `secret://env/NAME`; stored nowhere. An async provider is asked for references in data and input only.

        Raises SecretMissing.
        """
        return self._host.secret(reference)

    def log(self, text: str, level: str = "info") -> None:
        """A line in the log, marked with instance and node. Not part of history."""
        self._host.log(level, text)


def _read(raw: bytes, fn: Callable[..., Any]) -> Any:
    try:
        kind = get_type_hints(fn).get("return", Any)
    except Exception:
        kind = Any
    return msgspec.json.decode(raw) if kind in (Any, None) else msgspec.json.decode(raw, type=kind)
