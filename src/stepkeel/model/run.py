"""What the functions of a graph's step are asked about: the data, and the outputs of the steps that it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, overload

__all__ = ["Output", "Run"]

D = TypeVar("D")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Output(Protocol[T_co]):
    """A step as a graph's author holds it: what `run[step]` gives has the type that its activity returns."""

    @property
    def key(self) -> str: ...
    def output_of(self, run: Run[Any]) -> T_co: ...


def _outside(name: str) -> Any:
    raise LookupError(f"the output of {name} is asked for outside of a graph")


@dataclass(frozen=True, slots=True, eq=False)
class Run(Generic[D]):
    """`input` is the data (of a saga: what it was started with), `run[step]` the output of a step, None where it gave none.

    item     the item of the for_each around the step, for a function that asks for it
    output   for what a compensation is given: the output of the step that it undoes
    `read` finds an output by the name of its step.
    """

    input: D
    read: Callable[[str], Any] = _outside
    item: Any = None
    output: Any = None

    @overload
    def __getitem__(self, step: Output[T]) -> T: ...
    @overload
    def __getitem__(self, step: str) -> Any: ...
    def __getitem__(self, step: Output[Any] | str) -> Any:
        """Raises LookupError for a step that is not needed, directly or through others, whatever ran first."""
        return self.read(step if isinstance(step, str) else step.key)
