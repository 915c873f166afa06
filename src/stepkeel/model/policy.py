"""Policies of activities and definitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from stepkeel.errors import BadRequest
from stepkeel.model.instant import to_span

__all__ = [
    "DEFAULT_RETRY",
    "Breaker",
    "CompensateWhen",
    "CompensationPolicy",
    "Limit",
    "Matcher",
    "Retry",
    "Unhandled",
    "error_name",
    "matcher",
]

CompensationPolicy = Literal["continue_then_fail", "stop_and_fail", "continue_then_terminate"]
CompensateWhen = Literal["done", "started"]
Unhandled = Literal["reject", "keep"]


def error_name(kind: type[BaseException]) -> str:
    """How an exception type is written down: builtins bare, others with their module."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


@dataclass(frozen=True, slots=True)
class Matcher:
    """Which errors are meant: by code, or by exception type or its bare name (its subclasses too). Neither: every error."""

    codes: tuple[str, ...] = ()
    types: tuple[str, ...] = ()

    @property
    def bare(self) -> list[str]:
        """Codes, and exception types by their last name: moving code is no new shape, and documents name them so."""
        return [*self.codes, *(t.rpartition(".")[2] for t in self.types)]

    @property
    def empty(self) -> bool:
        return not self.codes and not self.types

    def names(self, code: str, types: tuple[str, ...]) -> bool:
        """True when the error is one of those listed; an empty list names none."""
        return code in self.codes or any(t in self.types or t.rpartition(".")[2] in self.codes for t in types)


def matcher(errors: tuple[str | type[BaseException], ...]) -> Matcher:
    return Matcher(
        codes=tuple(e for e in errors if isinstance(e, str)),
        types=tuple(error_name(e) for e in errors if not isinstance(e, str)),
    )


@dataclass(frozen=True)
class Retry:
    """When and how often a failed attempt is tried again.

    attempts    tries in all, the first counts; default 3
    delay       before the next try, a timedelta or seconds; 0 tries again at once under the same lease,
                more is a durable timer and frees the worker
    backoff     "fixed", "exponential" (delay * factor ** (n - 1) after the n-th try) or "none" (no delay at all)
    max_delay   upper bound of a delay
    jitter      0..1: each delay is scaled by a number drawn from [1 - jitter, 1 + jitter], from the decision's seed
    retry_on    exception types or failure codes; empty: all
    give_up_on  exception types or failure codes that are final; asked first
    Raises BadRequest on values out of range.
    """

    attempts: int = 3
    delay: timedelta | float = 0
    backoff: Literal["fixed", "exponential", "none"] = "fixed"
    factor: float = 2.0
    max_delay: timedelta | float | None = None
    jitter: float = 0.0
    retry_on: tuple[str | type[BaseException], ...] | type[BaseException] | str = ()
    give_up_on: tuple[str | type[BaseException], ...] | type[BaseException] | str = ()
    delay_micros: int = field(init=False, repr=False, compare=False)
    max_delay_micros: int | None = field(init=False, repr=False, compare=False)
    wanted: Matcher = field(init=False, repr=False, compare=False)
    unwanted: Matcher = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise BadRequest(f"Retry(attempts={self.attempts})", remedy="the first try counts: at least 1")
        if self.backoff not in ("fixed", "exponential", "none"):
            raise BadRequest(f"Retry(backoff={self.backoff!r})", remedy="fixed, exponential or none")
        if not 0 <= self.jitter <= 1:
            raise BadRequest(f"Retry(jitter={self.jitter})", remedy="a part of the delay, 0 to 1")
        if self.factor <= 0:
            raise BadRequest(f"Retry(factor={self.factor})", remedy="a number above 0")
        delay = to_span(self.delay)
        bound = None if self.max_delay is None else to_span(self.max_delay)
        if delay < 0 or (bound is not None and bound < 0):
            raise BadRequest(f"Retry(delay={self.delay}, max_delay={self.max_delay})", remedy="delays are not negative")
        put = object.__setattr__
        put(self, "delay_micros", delay)
        put(self, "max_delay_micros", bound)
        put(self, "wanted", matcher(_as_tuple(self.retry_on)))
        put(self, "unwanted", matcher(_as_tuple(self.give_up_on)))


def _as_tuple(
    errors: tuple[str | type[BaseException], ...] | type[BaseException] | str,
) -> tuple[str | type[BaseException], ...]:
    return errors if isinstance(errors, tuple) else (errors,)


@dataclass(frozen=True)
class Limit:
    """How many may go on at a time in the whole fleet, whatever worker they run on. Those beyond wait in order.

    n     at most so many at once; with `per`: at most so many begin in any span of that length
    per   a timedelta or seconds: a rate rather than a number at once
    key   a function of the data, or the text of an expression: each of its values is counted by itself (None: not limited).
          "One at a time for each customer" is Limit(1, key=lambda order: order.customer_id), or key="data.customer_id"
    name  what the limit is called in explain; two limits of one name share their slots. Default: its owner's name
    Of those that wait, the most urgent priority goes first, but each step of priority is worth one minute of waiting: none
    starves. Raises BadRequest on values out of range.
    """

    n: int
    per: timedelta | float | None = None
    key: Callable[[Any], str | int | None] | str | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if type(self.n) is not int or not 1 <= self.n <= 1_000_000:
            raise BadRequest(f"Limit({self.n!r})", remedy="a whole number from 1 to 1,000,000")
        if self.per is not None and to_span(self.per) <= 0:
            raise BadRequest(f"Limit(per={self.per!r})", remedy="a positive timedelta or number of seconds")
        if len(self.name) > 100 or ":" in self.name:
            raise BadRequest(f"Limit(name={self.name!r})", remedy="at most 100 characters, without a colon")


@dataclass(frozen=True)
class Breaker:
    """Stops calling what keeps failing, for the whole fleet: a circuit breaker.

    threshold  it opens when so many of the last `sample` attempts failed; default 5 of 10
    open       how long no attempt is let through then; a timedelta or seconds, default 60. After it one is, to try: if that goes
               well it closes, else it opens again
    service    what it is about: activities that name the same service share it. Default: the activity alone
    when_open  "park" (default): attempts wait, and burn none; "fail": they fail at once with the code circuit_open, for which
               a `fallback` or `optional` says what then
    Exceptions and timeouts count as failures; `Fail`, PermanentError and data that do not fit do not: the service has answered.
    Raises BadRequest on values out of range.
    """

    threshold: int = 5
    sample: int = 10
    open: timedelta | float = 60.0
    service: str = ""
    when_open: Literal["park", "fail"] = "park"
    open_micros: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= self.sample <= 1_000:
            raise BadRequest(f"Breaker({self.threshold} of {self.sample})", remedy="1 <= threshold <= sample <= 1000")
        object.__setattr__(self, "open_micros", to_span(self.open))
        if self.open_micros <= 0:
            raise BadRequest(f"Breaker(open={self.open!r})", remedy="longer than nothing")
        if self.when_open not in ("park", "fail") or len(self.service) > 200:
            raise BadRequest(
                f"Breaker(when_open={self.when_open!r}, service={self.service!r})", remedy="park or fail; at most 200 characters"
            )


# What TryAgain and TransientError use where an activity declares no policy of its own.
DEFAULT_RETRY = Retry(attempts=10, delay=1.0, backoff="exponential", max_delay=60.0)
