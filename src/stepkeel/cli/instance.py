"""Commands on one instance: show, history, explain, signal, pause, resume, cancel, terminate, redrive, fire-timer,

cancel-node, complete-node, add-items, set-data, set-state, fork, release, archive.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from stepkeel.cli.output import plain, print_json, print_table, say
from stepkeel.cli.session import Actor, JsonOption, PlaceOption, ReasonOption, TenantOption, on_engine, read_json
from stepkeel.engine.result import Entry, Info, Receipt
from stepkeel.facade import Engine

__all__ = ["add_to"]


def add_to(app: App) -> None:
    for command in (
        show,
        history,
        explain,
        signal,
        pause,
        resume,
        cancel,
        terminate,
        redrive,
        fire_timer,
        cancel_node,
        complete_node,
    ):
        app.command(command)
    for command in (add_items, set_data, set_state, fork, release, archive):
        app.command(command)


def show(id: str, /, *, database: PlaceOption = None, tenant: TenantOption = None, json: JsonOption = False) -> int:
    """Everything about one instance: status, state, data, timers, signals. Exit code 1 if it has failed."""

    async def work(engine: Engine) -> tuple[Info, Any, Any]:
        instance = engine.instance(id)
        info = await instance.get()
        return info, ([] if info.fault else await instance.timers()), await instance.signals()

    info, timers, signals = on_engine(database, work, tenant)
    if json:
        print_json({**plain(info), "timers": timers, "signals": signals})
    else:
        hidden = ("data", "open", "failure")
        rows = [(k, v) for k, v in plain(info).items() if k not in hidden and v not in (None, "", {}, False)]
        print_table(("field", "value"), rows)
        if info.failure is not None:
            say(f"failure: {info.failure.code}: {info.failure.message} (at {info.failure.path})")
            for undo in info.failure.undo_errors:
                say(f"  undo failed at {undo.path}: {undo.code}: {undo.message}")
        data: dict[str, Any] | None = plain(info.data)
        print_table(("data", "value"), [*(data or {}).items()])
        if info.open:
            print_table(("open", "is"), list(info.open.items()))
        if timers:
            print_table(("timer", "purpose", "due"), [(t.path, t.purpose, t.due_at) for t in timers])
        if signals:
            print_table(("seq", "signal", "status", "reason"), [(s.seq, s.name, s.status, s.reason) for s in signals])
    return 1 if info.status == "failed" else 0


def history(id: str, /, *, database: PlaceOption = None, tenant: TenantOption = None, json: JsonOption = False) -> None:
    """What happened to it: every decision with its events and changed fields."""
    entries: list[Entry] = on_engine(database, lambda engine: engine.history(id), tenant)
    if json:
        print_json(entries)
        return
    rows: list[tuple[Any, ...]] = []
    for e in entries:
        for n, event in enumerate(e.events):
            detail = " ".join(f"{k}={v}" for k, v in event.detail.items())
            first = (e.revision, e.at, e.actor or e.worker[-6:]) if n == 0 else ("", "", "")
            rows.append((*first, event.type, event.path, detail))
        fields = ", ".join(f"{k[5:]}={plain(v)!r}" for k, v in e.set.items() if k.startswith("data."))
        if fields:
            rows.append(("", "", "", "", "", fields))
    print_table(("rev", "at", "by", "event", "path", "detail"), rows)


def explain(id: str, /, *, database: PlaceOption = None, tenant: TenantOption = None, json: JsonOption = False) -> None:
    """Why it rests, and what would move it."""
    found = on_engine(database, lambda engine: engine.explain(id), tenant)
    print_json(found) if json else say(str(found))


def signal(
    id: str,
    name: str,
    payload: str | None = None,
    /,
    *,
    key: Annotated[str | None, Parameter(help="the same key again is the same signal")] = None,
    wait: Annotated[float | None, Parameter(help="seconds to wait for its fate")] = None,
    actor: Actor = "",
    database: PlaceOption = None,
    tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:
    """Send a signal by name; PAYLOAD is JSON, or @file. Durable when this returns."""
    value = read_json(payload, "payload")
    receipt = on_engine(database, lambda e: e.signal(id, name, value, key=key, wait=wait, actor=actor), tenant)
    _tell(receipt, json)


def _tell(receipt: Receipt, json: bool) -> None:
    if json:
        print_json(receipt)
    else:
        say(f"{receipt.name}: {receipt.status}" + (f" ({receipt.reason})" if receipt.reason else ""))


def pause(
    id: str, /, *, actor: Actor = "", reason: ReasonOption = "", database: PlaceOption = None, tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Let nothing further begin; attempts in flight end and are recorded."""
    _tell(on_engine(database, lambda e: e.pause(id, actor=actor, reason=reason), tenant), json)


def resume(
    id: str, /, *, actor: Actor = "", reason: ReasonOption = "", database: PlaceOption = None, tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Go on at once, also after it was set aside."""
    _tell(on_engine(database, lambda e: e.resume(id, actor=actor, reason=reason), tenant), json)


def cancel(
    id: str, /, *, compensate: Annotated[bool, Parameter(negative=(), help="undo what was done")] = False, actor: Actor = "",
    reason: ReasonOption = "", database: PlaceOption = None, tenant: TenantOption = None, json: JsonOption = False,
) -> None:  # fmt: skip
    """End it as cancelled; nothing is undone unless --compensate."""
    _tell(on_engine(database, lambda e: e.cancel(id, compensate=compensate, actor=actor, reason=reason), tenant), json)


def terminate(
    id: str, /, *, compensate: Annotated[bool, Parameter(negative=(), help="undo what was done")] = False, actor: Actor = "",
    reason: ReasonOption = "", database: PlaceOption = None, tenant: TenantOption = None, json: JsonOption = False,
) -> None:  # fmt: skip
    """End it as terminated, also in the midst of another ending."""
    _tell(on_engine(database, lambda e: e.terminate(id, compensate=compensate, actor=actor, reason=reason), tenant), json)


def redrive(
    id: str, /, *,
    from_state: Annotated[str, Parameter(name="--from", help="a state, or a node of its body: Pay/charge")] = "",
    failed_parts: Annotated[bool, Parameter(negative=(), help="what had failed in branches and items, too")] = False,
    actor: Actor = "", reason: ReasonOption = "", database: PlaceOption = None, tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Continue a failed instance from its failed node, or from a state or node."""
    options: dict[str, Any] = {"from_state": from_state, "failed_parts": failed_parts, "actor": actor, "reason": reason}
    _tell(on_engine(database, lambda e: e.redrive(id, **options), tenant), json)


def fire_timer(
    id: str, path: str, /, *, purpose: Annotated[str, Parameter(help="retry, delay, until, after ...; default: all there")] = "",
    actor: Actor = "", reason: ReasonOption = "", database: PlaceOption = None, tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Make a timer due now: a retry, a delay, a timeout. PATH as `explain` tells it."""
    _tell(on_engine(database, lambda e: e.fire_timer(id, path, purpose=purpose, actor=actor, reason=reason), tenant), json)


def cancel_node(
    id: str, path: str, /, *,
    then: Annotated[Literal["end", "skip"], Parameter(help="its branch ends, or goes on behind it")] = "end",
    actor: Actor = "", reason: ReasonOption = "", database: PlaceOption = None, tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Close an open node, branch (work/parallel:left) or item (work/lines[17])."""
    _tell(on_engine(database, lambda e: e.cancel_node(id, path, then=then, actor=actor, reason=reason), tenant), json)


def complete_node(
    id: str, path: str, /, *, actor: Actor = "", reason: ReasonOption = "", database: PlaceOption = None,
    tenant: TenantOption = None, json: JsonOption = False,
) -> None:  # fmt: skip
    """End a parallel or for_each with what has arrived, a loop, a machine, or a node that waits."""
    _tell(on_engine(database, lambda e: e.complete_node(id, path, actor=actor, reason=reason), tenant), json)


def add_items(
    id: str, path: str, items: str, /, *, actor: Actor = "", reason: ReasonOption = "", database: PlaceOption = None,
    tenant: TenantOption = None, json: JsonOption = False,
) -> None:  # fmt: skip
    """Add items, a JSON list or @file, to a for_each that is open."""
    given = read_json(items, "ITEMS")
    _tell(on_engine(database, lambda e: e.add_items(id, path, given, actor=actor, reason=reason), tenant), json)


def set_data(
    id: str, changes: str, /, *, actor: Actor = "", reason: ReasonOption = "", database: PlaceOption = None,
    tenant: TenantOption = None, json: JsonOption = False,
) -> None:  # fmt: skip
    """Set fields of the data: a JSON object or @file. Of a failed instance only where its workflow is at hand, in Python."""
    given = read_json(changes, "CHANGES")
    _tell(on_engine(database, lambda e: e.set_data(id, given, actor=actor, reason=reason), tenant), json)


def set_state(
    id: str, state: str, /, *, body: Annotated[bool, Parameter(help="run the body of the state")] = True,
    stop: Annotated[bool, Parameter(negative=(), help="stop attempts in flight, do not wait for them")] = False,
    actor: Actor = "", reason: ReasonOption = "", database: PlaceOption = None, tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Put it in a state, or at a node of a state's body (Pay/charge); a failed one is open again."""
    _tell(on_engine(database, lambda e: e.set_state(id, state, body=body, stop=stop, actor=actor, reason=reason), tenant), json)


def fork(
    id: str, changes: str | None = None, /, *,
    from_state: Annotated[str, Parameter(name="--from", help="a state, or a node of its body: Pay/charge")] = "",
    revision: Annotated[int | None, Parameter(help="with the data of this revision")] = None,
    key: Annotated[str | None, Parameter(help="the same key again is the same instance")] = None,
    actor: Actor = "", reason: ReasonOption = "", database: PlaceOption = None, tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Make another instance from this one: where it failed, or from a state or node. CHANGES: fields of its data."""
    given = read_json(changes, "CHANGES")
    options: dict[str, Any] = {"from_state": from_state, "revision": revision, "key": key, "actor": actor, "reason": reason}
    made = on_engine(database, lambda e: e.fork(id, given, **options), tenant)
    print_json({"id": made.id, "created": made.created}) if json else say(made.id)


def release(
    id: str, /, *, actor: Actor = "", reason: ReasonOption = "", database: PlaceOption = None, tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Take it from a worker that does not react; another one goes on with it, and begins again what was in flight."""
    _tell(on_engine(database, lambda e: e.release(id, actor=actor, reason=reason), tenant), json)


def archive(
    id: str, /, *, actor: Actor = "", reason: ReasonOption = "", database: PlaceOption = None, tenant: TenantOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Take an ended instance out of the lists; it stays readable."""
    _tell(on_engine(database, lambda e: e.archive(id, actor=actor, reason=reason), tenant), json)
