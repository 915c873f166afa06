"""Control: what operators ask, of an instance or of one node in it. Each is one commit, and history with actor and reason.

| the row is | then |
|---|---|
| unowned, ended too | the caller decides; one commit, fenced by `owner is null`, epoch and revision |
| owned | the request goes into its inbox; the owner takes it before all signals; the call waits for the receipt |
| owned, and it is to be released | the caller commits in the owner's place, fenced by owner, epoch and revision |
| unowned, and the request is about a node | the same: a worker claims it, takes the request, decides what follows |
| any of them, and a request with this key was taken before | nothing: its receipt is told again |
| set aside | only resume: the fault is cleared, the next claim tries again; cancel and terminate if the snapshot can be read |

Deciding such a request needs the snapshot alone. Where the definition is at hand it is settled at once; else it is
committed with `wake_at = now` and the next claim settles it.
"""

from __future__ import annotations

import asyncio

import msgspec

from stepkeel.engine.audit import act_of, asked_of, check_key
from stepkeel.engine.core import Core
from stepkeel.engine.family import letters_of, tasks_of
from stepkeel.engine.result import Receipt, receipt_of, snapshot_of
from stepkeel.engine.signal import raise_refused, wait_for_receipt
from stepkeel.errors import InstanceEnded, InvalidTransition, RevisionChanged, Unavailable
from stepkeel.kernel.decide import apply_only
from stepkeel.kernel.history import encode, history_row
from stepkeel.kernel.hold import tickets_of
from stepkeel.kernel.reposition import Places, place_refused, places_of
from stepkeel.kernel.timer import earliest
from stepkeel.model import input as inputs
from stepkeel.model.act import Act, ActQuery, entry_of
from stepkeel.model.commit import Batch, Commit, Delivery, HistoryRow, Row, Step
from stepkeel.model.commit import Receipt as StoredReceipt
from stepkeel.model.decision import Decision
from stepkeel.model.definition import Definition
from stepkeel.model.event import Event
from stepkeel.model.snapshot import TERMINAL

__all__ = ["control", "places_known"]

TRIES = 50
KEYED = 1_000  # acts of one kind on one instance that are looked through for a key


async def control(core: Core, instance_id: str, request: inputs.Control, wait: float, key: str | None = None) -> Receipt:
    """With a `key` it is done once, however often it is asked. Raises NotFound, InvalidTransition, InstanceEnded (nothing is

    stored), BadRequest, Unavailable (with a key the call can be repeated).
    """
    check_key(key=key)
    name = inputs.control_name(type(request))
    for _ in range(TRIES):
        row = await core.row(instance_id)
        if key is not None and (known := await _known(core, row, name, key, wait)) is not None:
            return known
        if row.archived:
            raise InstanceEnded(f"{instance_id} is archived, {name} does not reach it", remedy="archived instances only read")
        if request.if_revision not in (None, row.revision):
            raise RevisionChanged(f"{row.id} is at revision {row.revision}, not {request.if_revision}", remedy="look at it again")
        if isinstance(request, inputs.SetState | inputs.Redrive) and _definition(core, row) is None:
            await _check_place(core, row, request)
        release = isinstance(request, inputs.Release)
        if release and row.owner is None:
            raise InvalidTransition(f"no worker holds {row.id}, it is {row.status}", remedy="explain says what would move it")
        if release or (row.owner is None and not _for_a_worker(core, row, request)):
            answer = await _directly(core, row, request, name, key)
        else:
            answer = await _through_inbox(core, row, request, name, wait, key)
        if answer is not None:
            return answer
        await asyncio.sleep(0.002)
    raise Unavailable(f"{name}: {instance_id} changes hands too fast", remedy="try again")


async def _known(core: Core, row: Row, name: str, key: str, wait: float) -> Receipt | None:
    """What became of the request that has this key already: the audit log knows of it, for it is of the same commit.

    One that is committed between this look and our own commit has moved the row: that commit fails, and this is asked again.
    """
    query = ActQuery(tenant=core.tenant, instance_id=row.id, kind="instance", verb=name, descending=True, limit=KEYED)
    if not any(entry_of(act).get("detail", {}).get("key") == key for act in await core.store.acts(query)):
        return None
    for letter in await core.store.signals(row.id):
        if (letter.kind, letter.name, letter.key) == ("control", name, key):
            stored = StoredReceipt(letter.seq, letter.status, letter.reason, key, duplicate=True)
            return await _fate(core, row, name, stored, wait)
    return Receipt(row.id, name, key, "processed", duplicate=True)


def _for_a_worker(core: Core, row: Row, request: inputs.Control) -> bool:
    """What follows from it has to be decided with it, or it needs the definition, which is not at hand."""
    if row.status in TERMINAL:
        return False
    return type(request) in inputs.SETTLED or (isinstance(request, inputs.SetData) and _definition(core, row) is None)


async def places_known(core: Core, row: Row) -> Places:
    """The states that may be set, and their nodes: of its definition, or of the outline of that."""
    definition = _definition(core, row)
    if definition is not None:
        return places_of(definition)
    outline = await core.outline(row.definition, row.version) or {}
    fixed = outline.get("not_settable", ())
    return {s["name"]: [n["key"] for n in s.get("body", ())] for s in outline.get("states", ()) if s["name"] not in fixed}


async def _check_place(core: Core, row: Row, request: inputs.SetState | inputs.Redrive) -> None:
    """Raises InvalidTransition."""
    if refused := place_refused(await places_known(core, row), snapshot_of(row), request):
        raise InvalidTransition(refused, remedy="explain says what would move it")


def _raise(decision: Decision) -> None:
    if decision.refused == "revision_changed":
        raise RevisionChanged(decision.message, remedy="look at it again")
    if decision.refused == "instance_ended":
        raise InstanceEnded(decision.message, remedy="an ended instance can be archived; a failed one redriven")
    if decision.refused:
        raise InvalidTransition(decision.message, remedy="explain says what would move it")


def _act(core: Core, row: Row, request: inputs.Control, name: str, key: str | None) -> Act | None:
    actor, reason = request.actor, request.reason
    return act_of(
        core, name, "instance", row.id, instance_id=row.id, actor=actor, reason=reason, detail={**asked_of(request), "key": key}
    )


def _definition(core: Core, row: Row) -> Definition | None:
    found = core.definitions.get((row.definition, row.version))
    return None if found is None else core.tiers.apply_or_log(row.tenant, found)


def _done(core: Core, row: Row, name: str, key: str | None) -> Receipt:
    core.hint(row.id, None)
    return Receipt(row.id, name, key or "", "processed")


async def _directly(core: Core, row: Row, request: inputs.Control, name: str, key: str | None) -> Receipt | None:
    """Decide on the row as it was read; the commit holds only if nobody has moved it since. None: somebody has."""
    handlers = row.status not in TERMINAL and await _runs_handlers(core, row)
    step = _resume_fault(core, row, request) or _step(core, row, request, handlers=handlers)
    try:
        commit = Commit(row.id, row.tenant, row.owner, row.epoch, row.revision, step, _act(core, row, request, name, key))
        answer = await core.store.commit(Batch(commits=(commit,)))
        applied, reached = answer.commits[0], answer.reached
    except Unavailable:
        # The answer is lost: history tells whether it was applied. Asking raises Unavailable after its own deadline.
        applied, reached = await core.store.history(row.id, row.revision, 1) == list(step.history), dict[str, str | None]()
    for letter in step.sent if applied else ():
        core.hint(letter.instance_id, reached.get(letter.instance_id))
    return _done(core, row, name, key) if applied else None


def _resume_fault(core: Core, row: Row, request: inputs.Control) -> Step | None:
    """Resume of a row that was set aside: clear the fault, leave the bytes, let the next claim try again."""
    if row.fault is None or not isinstance(request, inputs.Resume):
        return None
    try:
        status = snapshot_of(row).status
    except Exception:
        status = "running"
    now = max(core.store.now(), row.updated_at + 1)
    detail = {"reason": request.reason} if request.reason else {}
    entry = HistoryRow(row.revision + 1, now, request.actor, "", encode((Event("resumed", "", detail),)), b"{}")
    wake = None if status == "paused" else core.store.now()
    return Step(status, row.state, row.label, row.revision + 1, None, now, row.seen, (entry,), release=True, wake_at=wake)


async def _runs_handlers(core: Core, row: Row) -> bool:
    """Its ending runs bodies of the definition. Not knowing the definition at all counts as yes: a worker decides."""
    outline = await core.outline(row.definition, row.version)
    return outline is None or bool(outline.get("handlers"))


def _step(core: Core, row: Row, request: inputs.Control, *, handlers: bool) -> Step:
    now = core.store.now()
    snapshot = snapshot_of(row)
    decision = apply_only(
        snapshot, request, max(now, row.updated_at + 1), core.ids.seed(), _definition(core, row), handlers=handlers
    )
    _raise(decision)
    s = decision.snapshot
    archive = isinstance(request, inputs.Archive)
    _, returned = tickets_of(decision.effects, s.at, row.priority)
    # What is wanted next is the next claim's business: it settles, runs, undoes. A pause rests.
    # Not behind a timer that is overdue: our time may be ahead of the database's.
    paused = s.status == "paused" and s.moving is None and row.owner is None  # one that is released may have attempts in flight
    rests = archive or paused or s.status in TERMINAL
    wake = None if rests else min(now, earliest(s.timers) or now)
    return Step(
        s.status, s.state, s.label, s.revision, encode(s), s.at, row.seen, (history_row(decision, request.actor, row.owner or ""),),
        release=not archive, wake_at=wake, ended=s.ended, archive=archive, returned=returned,
        sent=letters_of(decision.effects, s), changed=tasks_of(decision.effects)[1],
    )  # fmt: skip


async def _through_inbox(core: Core, row: Row, request: inputs.Control, name: str, wait: float, key: str | None) -> Receipt | None:
    """The owner takes it; if it parks meanwhile, whoever claims the row next does."""
    # What is plainly impossible is told at once; the owner judges again when it takes the request.
    _raise(apply_only(snapshot_of(row), request, core.store.now(), 0, _definition(core, row)))
    now = core.store.now()
    raw, act = msgspec.json.encode(request), _act(core, row, request, name, key)
    delivery = Delivery(row.id, row.tenant, "control", name, raw, key or core.ids.id(now), request.actor, now, act=act)
    stored = (await core.store.commit(Batch(deliveries=(delivery,)))).deliveries[0]
    raise_refused(row.id, stored, name)
    core.hint(row.id, stored.owner)
    return await _fate(core, row, name, stored, wait)


async def _fate(core: Core, row: Row, name: str, stored: StoredReceipt, wait: float) -> Receipt:
    """What its owner made of it. Raises RevisionChanged, InstanceEnded, InvalidTransition where that was nothing."""
    if stored.status == "pending":
        stored = await wait_for_receipt(core, row.id, stored, wait)
    if stored.status == "rejected":
        if stored.reason.startswith(inputs.MOVED_ON):
            raise RevisionChanged(f"{name}: {stored.reason}", remedy="look at it again")
        ended = stored.reason == "the instance ended"
        raise (InstanceEnded if ended else InvalidTransition)(f"{name}: {stored.reason}", remedy="explain says what would move it")
    return receipt_of(row.id, name, stored)
