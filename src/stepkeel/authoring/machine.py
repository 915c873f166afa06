"""State machines as classes: `class OrderApproval(Workflow[Order])` with states as attributes and ways between them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin

from stepkeel.authoring.build import Policies, build
from stepkeel.authoring.node import Item
from stepkeel.authoring.view import AuthoredDefinition
from stepkeel.model.policy import CompensationPolicy, Limit, Unhandled

__all__ = ["Workflow"]

D = TypeVar("D")


class Workflow(Generic[D]):
    """Base of state machines. Class keywords carry the policies:

    name               default: the class name. Never the module path, so code may move
    version            default 1; several versions may be given to one engine, each instance stays on its own
    unhandled_signals  "reject" (default) or "keep": what becomes of signals nothing takes
    compensation       when an undo fails: "continue_then_fail" (default), "stop_and_fail", "continue_then_terminate"
    compensation_timeout   how long all undos of an ending may take; those that are left then are listed as not done, and it fails
    on_failure, on_cancel, finally_   activities and nodes that run, after compensation, when the instance fails; is
                       cancelled or terminated; or ends in whatever way. One that finally fails makes the instance fail.
    limits             how many instances may be between their first state and their end at a time, in the whole fleet, all
                       together or for each value of a key; those beyond wait in order, before their first state
    Raises DefinitionError with every problem found, when the class is built. `definition` is the only public attribute.
    """

    definition: ClassVar[AuthoredDefinition]

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        version: int = 1,
        unhandled_signals: Unhandled = "reject",
        compensation: CompensationPolicy = "continue_then_fail",
        on_failure: Item[D] | Sequence[Item[D]] | None = None,
        on_cancel: Item[D] | Sequence[Item[D]] | None = None,
        finally_: Item[D] | Sequence[Item[D]] | None = None,
        limits: Limit | Sequence[Limit] = (),
        compensation_timeout: timedelta | float | None = None,
    ) -> None:
        super().__init_subclass__()
        policies = Policies(version, unhandled_signals, compensation, on_failure, on_cancel, finally_, limits, compensation_timeout)
        cls.definition = build(cls, _data_type(cls), name or cls.__name__, policies)

    def __new__(cls) -> Any:
        raise TypeError(f"{cls.__name__} is a definition and has no instances: engine.start({cls.__name__}, data) starts one")


def _data_type(cls: type) -> Any:
    """What stands in `Workflow[...]`; None if nothing does."""
    bases = [b for b in getattr(cls, "__orig_bases__", ()) if get_origin(b) is Workflow]
    return get_args(bases[0])[0] if bases else None
