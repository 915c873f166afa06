"""A handle on one instance: its verbs, typed by its workflow's data."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

from msgspec.structs import replace

from stepkeel.authoring.state import State
from stepkeel.engine import control, fork, query, signal, wait
from stepkeel.engine.audit import check_said
from stepkeel.engine.core import Core
from stepkeel.engine.result import Entry, InboxEntry, Info, Receipt, Result, Timer
from stepkeel.errors import BadRequest
from stepkeel.kernel.explain import Explanation
from stepkeel.model import input as inputs
from stepkeel.model.codec import to_json
from stepkeel.model.definition import Definition
from stepkeel.model.instant import to_span

__all__ = ["Instance"]

D = TypeVar("D")
CONTROL_WAIT = 10.0


def _path(path: str, verb: str) -> str:
    if not isinstance(path, str) or not path:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadRequest(f"{verb}({path!r})", remedy="a path, as `explain` and `history` tell it")
    return path


class Instance(Generic[D]):
    """Made by `Engine.start` and `Engine.instance`; making one asks nothing.

    id        of the instance
    created   True if the start that returned this handle made it; False: the key had one already, or it was looked up
    Every verb may raise NotFound, and Unavailable when the database does not answer. What operators ask with a `key` is done
    once: said again, it returns the first receipt (`duplicate`).
    """

    def __init__(
        self,
        core: Callable[[], Core],
        instance_id: str,
        definition: Definition | None,
        *,
        created: bool = False,
        since: int = 0,
        if_revision: int | None = None,
    ):
        self.id = instance_id
        self.created = created
        self._core = core
        self._definition = definition
        self._since = since
        self._if_revision = if_revision

    def __repr__(self) -> str:
        name = self._definition.name if self._definition else "?"
        return f"<Instance {self.id} of {name}>"

    def at(self, revision: int) -> Instance[D]:
        """The same, as it was seen at a revision: what operators ask of it (pause, set_data ...) is refused once it has moved on.

        They raise RevisionChanged then, and nothing is changed. Signals, forks and what is read do not heed it. Raises BadRequest.
        """
        if not isinstance(revision, int) or isinstance(revision, bool) or revision < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadRequest(f"at({revision!r})", remedy="a revision, as `get` tells it: 1 or more")
        return Instance(self._core, self.id, self._definition, created=self.created, since=self._since, if_revision=revision)

    async def signal(
        self, what: Any, payload: Any = None, *, key: str | None = None, actor: str = "", wait: float | None = None
    ) -> Receipt:
        """Send a signal: a value of its type, or its name and a mapping. Durable when this returns.

        The same `key` again (with the same name) is the same signal: the first payload wins, the first receipt returns.
        `wait` in seconds waits for what becomes of it. Raises UnknownSignal, DataInvalid, InstanceEnded, InboxFull.
        """
        return await signal.signal(self._core(), self.id, self._definition, what, payload, key=key, actor=actor, wait=wait)

    async def wait(
        self, timeout: float | None = None, *, state: State[Any] | str | None = None, outcome: str | None = None
    ) -> Result[D]:
        """Wait until it has ended, or is in (or has entered since this handle was made) a state or label, or until an

        attempt has ended as `outcome` (completed, failed, skipped, waiting, retried). `timeout` in seconds; when it is
        over the result says `timed_out`: no exception.
        """
        if timeout is not None:
            timeout = to_span(timeout) / 1e6
        name = None if state is None else str(state)
        return await wait.wait(self._core(), self.id, self._definition, self._since, name, outcome, timeout)

    async def get(self) -> Info:
        """Its row as it is now."""
        return await query.get(self._core(), self.id)

    async def children(self) -> list[Info]:
        """Those it has begun and not detached, ended ones too, in the order of their beginning; at most 1,000."""
        return [*(await query.list_instances(self._core(), {"parent": self.id}, "created", False, 1_000, None, False)).items]

    async def pause(self, *, actor: str = "", reason: str = "", wait: float = CONTROL_WAIT, key: str | None = None) -> Receipt:
        """Nothing further opens; attempts in flight end and are recorded. Raises InvalidTransition, InstanceEnded."""
        return await self._control(inputs.Pause(actor, reason), wait, key)

    async def resume(self, *, actor: str = "", reason: str = "", wait: float = CONTROL_WAIT, key: str | None = None) -> Receipt:
        """Go on at once; what became due fires right away. Also after it was set aside. Raises InvalidTransition."""
        return await self._control(inputs.Resume(actor, reason), wait, key)

    async def cancel(
        self, *, compensate: bool = False, actor: str = "", reason: str = "", wait: float = CONTROL_WAIT, key: str | None = None
    ) -> Receipt:
        """End it as cancelled; what was done is undone only if `compensate`. Raises InvalidTransition, InstanceEnded."""
        return await self._control(inputs.Cancel(actor, reason, compensate), wait, key)

    async def terminate(
        self, *, compensate: bool = False, actor: str = "", reason: str = "", wait: float = CONTROL_WAIT, key: str | None = None
    ) -> Receipt:
        """End it as terminated, also in the midst of another ending. Raises InstanceEnded."""
        return await self._control(inputs.Terminate(actor, reason, compensate), wait, key)

    async def redrive(
        self,
        *,
        from_state: State[Any] | str = "",
        failed_parts: bool = False,
        actor: str = "",
        reason: str = "",
        wait: float = CONTROL_WAIT,
        key: str | None = None,
    ) -> Receipt:
        """Continue a failed instance from its failed node, attempts counted anew; or from a state, or a node of its body

        (`from_state="Pay"`, `"Pay/charge"`): that is a new visit, with idempotency keys of its own.

        `failed_parts`: branches and items that had failed earlier, which their join did without, are tried again too.

        Raises InvalidTransition if it has not failed, or if something was undone since and no state or node is named, or one
        behind that in the same body.
        """
        return await self._control(
            inputs.Redrive(actor, reason, str(from_state) if from_state else "", bool(failed_parts)), wait, key
        )

    async def fire_timer(
        self, path: str, *, purpose: str = "", actor: str = "", reason: str = "", wait: float = CONTROL_WAIT, key: str | None = None
    ) -> Receipt:
        """Make a timer due now: a retry, a delay, a timeout. `path` as `timers` and `explain` tell it; all purposes there, or one.

        Of a paused instance it fires on resume; a timeout fires when its state rests. Raises InvalidTransition where there
        is none, InstanceEnded.
        """
        if not isinstance(path, str) or not isinstance(purpose, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadRequest(f"fire_timer({path!r}, purpose={purpose!r})", remedy="texts: timers() lists them")
        return await self._control(inputs.FireTimer(path, purpose, actor, reason), wait, key)

    async def cancel_node(
        self,
        path: str,
        *,
        then: Literal["end", "skip"] = "end",
        actor: str = "",
        reason: str = "",
        wait: float = CONTROL_WAIT,
        key: str | None = None,
    ) -> Receipt:
        """Close an open node, branch (`work/parallel:left`) or item (`work/lines[17]`), with all that is open in it.

        `then="end"`: the branch or item around it has ended, cancelled, and its join is judged. `then="skip"`: the flow goes
        on behind the node. Raises InvalidTransition where it is not open, naming what is, and InstanceEnded.
        """
        if then not in ("end", "skip"):
            raise BadRequest(f"cancel_node(then={then!r})", remedy="end, skip")
        return await self._control(inputs.CancelNode(_path(path, "cancel_node"), then, actor, reason), wait, key)

    async def complete_node(
        self, path: str, *, actor: str = "", reason: str = "", wait: float = CONTROL_WAIT, key: str | None = None
    ) -> Receipt:
        """End a parallel or for_each with what has arrived, a loop or machine where it stands, a node that waits.

        Raises InvalidTransition where it is not open, or an attempt of it is in flight, and InstanceEnded.
        """
        return await self._control(inputs.CompleteNode(_path(path, "complete_node"), actor, reason), wait, key)

    async def add_items(
        self,
        path: str,
        items: Sequence[Any],
        *,
        actor: str = "",
        reason: str = "",
        wait: float = CONTROL_WAIT,
        key: str | None = None,
    ) -> Receipt:
        """Add items to a for_each that is open, behind those it has. Raises InvalidTransition where there is none, DataInvalid."""
        if isinstance(items, str | bytes) or not isinstance(items, Sequence) or not items:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadRequest(f"add_items({items!r})", remedy="a list of items")
        plain = json.loads(to_json([*items]))
        return await self._control(inputs.AddItems(_path(path, "add_items"), plain, actor, reason), wait, key)

    async def set_data(
        self, changes: Mapping[str, Any], *, actor: str = "", reason: str = "", wait: float = CONTROL_WAIT, key: str | None = None
    ) -> Receipt:
        """Set fields of its data, checked against the type. Also of a failed instance: then redrive it.

        Raises InvalidTransition while attempts are in flight (pause first), for unknown fields and values that do not fit;
        InstanceEnded, DataInvalid.
        """
        if not isinstance(changes, Mapping) or not changes:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadRequest(f"set_data({changes!r})", remedy="a mapping of fields")
        return await self._control(inputs.SetData(json.loads(to_json(dict(changes))), actor, reason), wait, key)

    async def set_state(
        self,
        state: State[Any] | str,
        *,
        body: bool = True,
        stop: bool = False,
        actor: str = "",
        reason: str = "",
        wait: float = CONTROL_WAIT,
        key: str | None = None,
    ) -> Receipt:
        """Put it in a state, or at a node of a state's body (`"Pay/charge"`): what is open where it stands is closed. A failed

        one is open again.
        `body=False` leaves the state's body out. Attempts in flight are waited for, and nothing else begins until then;
        `stop=True` stops them. Raises InvalidTransition where there is no such state, or it is not `settable`, InstanceEnded.
        """
        return await self._control(
            inputs.SetState(_path(str(state), "set_state"), bool(body), bool(stop), actor, reason), wait, key
        )

    async def release(self, *, actor: str = "", reason: str = "", key: str | None = None) -> Receipt:
        """Take it from the worker that holds it, one that does not react, say; any worker goes on with it at once.

        Attempts in flight there count as lost and are begun again: they may run twice, with the same idempotency key. Raises
        InvalidTransition if no worker holds it.
        """
        return await self._control(inputs.Release(actor, reason), CONTROL_WAIT, key)

    async def fork(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        from_state: State[Any] | str = "",
        revision: int | None = None,
        key: str | None = None,
        actor: str = "",
        reason: str = "",
    ) -> Instance[D]:
        """Make another instance from this one, which stays as it is: with these fields of the data changed, and the rest as here.

        It begins where this one failed; or at `from_state`, a state or a node of its body. Of one that has not failed, and
        with a `revision` (whose data it takes), that is by default the state where it stood. What it does has idempotency
        keys of its own. `key` as for a start. Raises InvalidTransition (something was undone since, say), DataInvalid, BadRequest.
        """
        held, created = await fork.fork(
            self._core(), self.id, data, from_state=str(from_state) if from_state else "", revision=revision, key=key,
            actor=actor, reason=reason,
        )  # fmt: skip
        return Instance(self._core, held, self._definition, created=created)

    async def archive(self, *, actor: str = "", reason: str = "", key: str | None = None) -> Receipt:
        """Take an ended instance out of the lists. Raises InvalidTransition if it has not ended."""
        return await self._control(inputs.Archive(actor, reason), CONTROL_WAIT, key)

    async def _control(self, request: inputs.Control, wait: float, key: str | None) -> Receipt:
        check_said(actor=request.actor, reason=request.reason)
        if self._if_revision is not None:
            request = replace(request, if_revision=self._if_revision)
        return await control.control(self._core(), self.id, request, wait, key)

    async def history(self) -> list[Entry]:
        return await query.history(self._core(), self.id)

    async def signals(self) -> list[InboxEntry]:
        """Its inbox: every signal and request with its fate."""
        return await query.signals(self._core(), self.id)

    async def timers(self) -> list[Timer]:
        return await query.timers(self._core(), self.id)

    async def data(self, revision: int | None = None) -> dict[str, Any]:
        """Its data as a plain mapping, as of a revision if one is given (history is folded up to there)."""
        return await query.data(self._core(), self.id, revision)

    async def explain(self) -> Explanation:
        """Why it rests, and what would move it."""
        return await query.explanation(self._core(), self.id)
